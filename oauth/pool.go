// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// connections are the states of a datasource's connections. What is in them outlives a reload.
type Pool struct {
	mu     sync.RWMutex
	states map[string]*Connection // by connection
	flows  map[string]*redemption // by the ID of the flow
	bound  []*Set                 // those whose configuration has not ended, the newest one last
	endBy  time.Time              // by when the configuration that has ended last wants everything to have ended; zero: unknown

	keeper        keeperClock
	node          string    // names the process's entry; see presence
	presence      *presence // of the configuration that was bound last
	configuration any       // of which it is

	strangers atomic.Bool  // there are records that no key here opens
	ends      atomic.Int64 // when nobody waits any more for what is under way, in Unix nanoseconds; 0 while they are in use
}

// pool has the connections of all datasources.
var pools = caddy.NewUsagePool()

// state returns the state of a connection. limit bounds how many are kept.
func (c *Pool) state(key string, limit int) *Connection {
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
	st = new(Connection)
	st.used.Store(true)
	if c.states == nil {
		c.states = make(map[string]*Connection)
	}
	c.states[key] = st
	return st
}

// bind notes that a method is in use.
func (c *Pool) bind(set *Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = append(c.bound, set)
}

// presenceOf returns what knows of other nodes in a method's storage: the methods of one configuration have one.
func (c *Pool) presenceOf(set *Set) *presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.presence != nil && c.configuration != nil && c.configuration == set.Configuration {
		return c.presence
	}
	if c.node == "" {
		c.node = rand.Text() + ".node"
	}
	c.presence, c.configuration = newPresence(record.Bounded{Storage: set.Storage, Slots: set.slots}, set.Datasource, c.node), set.Configuration
	return c.presence
}

// unbind notes that it is not any more.
func (c *Pool) unbind(set *Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = slices.DeleteFunc(c.bound, func(other *Set) bool { return other == set })
}

// successor returns the method itself while its configuration runs, then the newest one that does, or nil. With older keys, or another
// storage, a record would be written to where it was.
func (c *Pool) successor(set *Set) *Set {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch n := len(c.bound); {
	case slices.Contains(c.bound, set):
		return set
	case n == 0:
		return nil
	default:
		return c.bound[n-1]
	}
}

// retain puts back a state that was forgotten while a request still had it: what a renewal brings must be known when the process
// ends.
func (c *Pool) retain(key string, st *Connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.states[key] == nil {
		if c.states == nil {
			c.states = make(map[string]*Connection)
		}
		c.states[key] = st
	}
}

// known returns the state of a connection if there is one.
func (c *Pool) known(key string) *Connection {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.states[key]
}

// forget drops states that have not been used lately and in which nothing is under way, until there is room for another one. What
// they knew is in the storage. It is a clock with a random hand: Go's maps begin anywhere.
func (c *Pool) forget(limit int) {
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

// redemption is a flow whose code was sent to the provider.
type redemption struct {
	at   time.Time
	done chan struct{}
	err  error // may be read when done is closed
}

// redemption returns that of a flow, and whether it is a new one. It returns nil if the code was sent elsewhere.
func (c *Pool) redemption(id string, sent bool) (r *redemption, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.flows[id]; r != nil || sent {
		return r, false
	}
	now := time.Now()
	maps.DeleteFunc(c.flows, func(_ string, r *redemption) bool { return now.Sub(r.at) > FlowLifetime+clockSkew })
	if c.flows == nil {
		c.flows = make(map[string]*redemption)
	}
	r = &redemption{at: now, done: make(chan struct{})}
	c.flows[id] = r
	return r, true
}
