// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// maxConnection bounds the name of a connection.
const maxConnection = 1024

// CheckConnection reports why a text cannot be the name of a user's own connection.
func CheckConnection(key string) error {
	switch {
	case key == "":
		return errors.New("the connection is empty")
	case len(key) > maxConnection:
		return fmt.Errorf("the connection's name is longer than %d bytes", maxConnection)
	case !utf8.ValidString(key):
		return errors.New("the connection's name is not UTF-8")
	}
	return nil
}

// connections are the states of a datasource's connections. What is in them outlives a reload.
type connections struct {
	mu     sync.RWMutex
	states map[string]*State      // by connection
	flows  map[string]*redemption // by the ID of the flow
	bound  []*Method              // those whose configuration has not ended, the newest one last
	endBy  time.Time              // by when the configuration that has ended last wants everything to have ended; zero: unknown

	keeper        keeperClock
	node          string    // names the process's entry; see presence
	presence      *presence // of the configuration that was bound last
	configuration any       // of which it is

	strangers atomic.Bool  // there are records that no key here opens
	ends      atomic.Int64 // when nobody waits any more for what is under way, in Unix nanoseconds; 0 while they are in use
}

// pool has the connections of all datasources.
var pool = caddy.NewUsagePool()

// state returns the state of a connection. limit bounds how many are kept.
func (c *connections) state(key string, limit int) *State {
	c.mu.RLock()
	st := c.states[key]
	c.mu.RUnlock()
	if st != nil {
		if !st.used.Load() {
			st.used.Store(true)
		}
		return st
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st = c.states[key]; st != nil {
		return st
	}
	if len(c.states) >= limit {
		c.forget(limit)
	}
	st = new(State)
	st.used.Store(true)
	if c.states == nil {
		c.states = make(map[string]*State)
	}
	c.states[key] = st
	return st
}

// bind notes that a method is in use.
func (c *connections) bind(m *Method) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = append(c.bound, m)
}

// presenceOf returns what knows of other nodes in a method's storage: the methods of one configuration have one.
func (c *connections) presenceOf(m *Method) *presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.presence != nil && c.configuration != nil && c.configuration == m.environment.Configuration {
		return c.presence
	}
	if c.node == "" {
		c.node = rand.Text() + ".node"
	}
	c.presence, c.configuration = newPresence(impatient{m.environment.Storage, m.places}, m.datasource, c.node), m.environment.Configuration
	return c.presence
}

// unbind notes that it is not any more.
func (c *connections) unbind(m *Method) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = slices.DeleteFunc(c.bound, func(other *Method) bool { return other == m })
}

// successor returns the method itself while its configuration runs, then the newest one that does, or nil. With older keys, or another
// storage, a record would be written to where it was.
func (c *connections) successor(m *Method) *Method {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch n := len(c.bound); {
	case slices.Contains(c.bound, m):
		return m
	case n == 0:
		return nil
	default:
		return c.bound[n-1]
	}
}

// retain puts back a state that was forgotten while a request still had it: what a renewal brings must be known when the process
// ends.
func (c *connections) retain(key string, st *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.states[key] == nil {
		if c.states == nil {
			c.states = make(map[string]*State)
		}
		c.states[key] = st
	}
}

// known returns the state of a connection if there is one.
func (c *connections) known(key string) *State {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.states[key]
}

// forget drops states that have not been used lately and in which nothing is under way, until there is room for another one. What
// they knew is in the storage. It is a clock with a random hand: Go's maps begin anywhere.
func (c *connections) forget(limit int) {
	probes := 0
	for key, st := range c.states {
		if probes++; probes > 64 || len(c.states) < limit {
			return
		}
		if st.used.Swap(false) || key == "" || st.busy() {
			continue
		}
		delete(c.states, key)
	}
}

// busy reports whether something is under way that must not be forgotten.
func (st *State) busy() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.flight != nil || st.looking != nil || st.unsaved != nil
}

// Datasource returns the name of the datasource that the method was bound to.
func (m *Method) Datasource() string { return m.datasource }

// Interactive reports whether accounts are connected in a browser: the grant authorization_code.
func (m *Method) Interactive() bool { return m.Grant == grantAuthorizationCode }

// PerUser reports whether there is one connection for each value of the option connection, in the place of a shared one.
func (m *Method) PerUser() bool { return m.Connection != "" }

// Key returns whose connection a request uses: "" for the shared one. It returns false if the option connection has no
// value for the request.
func (m *Method) Key(repl *caddy.Replacer) (key string, ok bool) {
	if m.connection == nil {
		return "", true
	}
	key, ok = m.connection.ExpandAll(repl)
	return key, ok && CheckConnection(key) == nil
}

// Source returns the source of a connection. key is "" for the shared one.
func (m *Method) Source(key string) *Source {
	if key == "" {
		return m.source
	}
	st := m.connections.state(key, m.environment.CacheSize)
	before := st.source.Load()
	if before != nil && before.method.configuredWith(m) {
		return before
	}
	s := m.newSource(key, m.source.store.identity, st)
	if st.source.CompareAndSwap(before, s) && before != nil {
		st.clearFailures()
	}
	return s
}

// configuredWith reports whether two methods of one datasource are of one configuration, so that they are the same.
func (m *Method) configuredWith(other *Method) bool {
	return m == other || m.environment.Configuration != nil && m.environment.Configuration == other.environment.Configuration
}

// Console returns the public address of the console, with a slash at its end: what redirect_url has before "callback". It is
// empty unless the method is interactive.
func (m *Method) Console() string { return strings.TrimSuffix(m.redirect, "callback") }

// Redirect returns the redirect URL to register at the provider, resolved.
func (m *Method) Redirect() string { return m.redirect }

// IssuedBy returns the issuer that a callback must name (RFC 9207), or "".
func (m *Method) IssuedBy() string { return m.issuer }

// Renew asks the provider for a new token now, whatever is known of the one in use. Its errors are as those of
// Credential.
func (s *Source) Renew(ctx context.Context) error {
	token := s.state.token.Load()
	if s.redeem != nil && token == nil {
		if _, err := s.latest(ctx); err != nil {
			return err
		}
		token = s.state.token.Load()
	}
	if s.redeem != nil {
		token = s.lookAgain(ctx, time.Now(), token)
		switch err := token.finished(); {
		case token.valid(time.Now()) && token.end.Reason == "" && !token.redeemable():
			return ErrNotRenewable
		case err != nil:
			return err
		}
	}
	err := s.renewNow(ctx)
	if !s.state.token.Load().valid(time.Now()) {
		return s.explain(err)
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && s.redeem != nil && judge(err).refusal() {
		return &EarlyRefusalError{e}
	}
	return err
}
