// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Environment is what a Method works in.
type Environment struct {
	// Configuration is the same for all methods of one configuration, and another one for those of
	// the next. One datasource may stand in several routes: what failed with one of its methods
	// would fail with the other, too.
	Configuration any

	// Datasource is the name of the datasource.
	Datasource string

	// Storage is where records are kept.
	Storage certmagic.Storage

	// Keys returns the key ring, and makes a key if there is none.
	Keys func() (*seal.Ring, error)

	// Dial connects to the provider.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// CacheSize bounds the connections that are kept in memory; 0 stands for DefaultCacheSize.
	CacheSize int

	// KeepAlive is how long a refresh token may be idle; 0: for ever.
	KeepAlive time.Duration

	// SweepAfter is how long a connection is remembered that is dead; 0: for ever.
	SweepAfter time.Duration

	// EndBy returns by when everything must have ended. It is called when the configuration has
	// ended. nil: that is not known.
	EndBy func() time.Time

	// Spool is a folder of this machine, where a token is left that could not be stored before the
	// process ended; "": there is none.
	Spool string
}

// DefaultCacheSize is how many connections of a datasource are kept in memory. The storage has all
// of them.
const DefaultCacheSize = 100_000

// Bind gives the method what it works in. It is called once, after Provision.
func (m *Method) Bind(env Environment) error {
	if env.Datasource == "" {
		return errors.New("name: an OAuth datasource without a base URL needs one; it names the stored token")
	}
	to, err := m.resolve()
	if err != nil {
		return err
	}
	if env.CacheSize == 0 {
		env.CacheSize = DefaultCacheSize
	}
	m.datasource, m.environment = env.Datasource, env
	m.logger = m.logger.With(zap.String("datasource", env.Datasource))
	m.client = provider.New(m.tls, env.Dial)
	m.client.Transport.Proxy = m.proxy.of
	m.places = newPlaces() // a new configuration may have a storage that works
	identity := m.identity(to)
	key := env.Datasource + "\x00" + identity
	shared, _ := pool.LoadOrStore(key, new(connections))
	m.connections = shared.(*connections)
	if m.Interactive() {
		m.presence = m.connections.presenceOf(m)
	}
	m.release = func() {
		m.connections.unbind(m)
		if env.EndBy != nil {
			m.connections.mustEnd(env.EndBy())
		}
		_, err := pool.Delete(key)
		if err != nil {
			m.logger.Error("a connection may be lost", zap.Error(err))
		}
		m.client.CloseIdleConnections()
	}
	m.source = m.newSource("", identity, m.connections.state("", env.CacheSize))
	m.source.state.source.Store(m.source)
	m.source.state.clearFailures()
	m.connections.bind(m) // at the end: others use it from now on
	return nil
}

// newSource returns the source of a connection.
func (m *Method) newSource(connection, identity string, state *State) *Source {
	s := &Source{
		state: state, method: m, build: m.build, logger: m.logger,
		fetch: func(ctx context.Context, before *Token) (*Token, error) { return m.fetch(ctx, state.texts, before) },
		life:  time.Duration(m.Timeout) + 2*storageTimeout,
		store: &store{
			storage: m.environment.Storage, places: m.places, ring: m.environment.Keys, datasource: m.datasource, connection: connection,
			identity: identity, term: m.term(), grant: m.Interactive(), presence: m.presence, logger: m.logger,
		},
	}
	token := state.token.Load()
	state.token.CompareAndSwap(token, s.store.term.recount(token))
	if connection != "" {
		s.store.strangers = m.connections.strangers.Load
	}
	if m.Interactive() {
		s.redeem = func(ctx context.Context, refreshToken string) (*provider.Answer, error) {
			return m.redeem(ctx, state.texts, refreshToken)
		}
		s.revoke = m.revoke
		s.lease = lockPatience + time.Duration(m.Timeout) + leaseSlack
		// Another's claim, and then the own.
		s.life = 2*s.lease + lookBy + 2*time.Duration(m.Timeout) + 4*storageTimeout
	}
	return s
}

// storeOf returns the store of a connection, to know its names only.
func (m *Method) storeOf(connection string) *store {
	return &store{datasource: m.datasource, connection: connection}
}

// Reseal has what is stored sealed with the first key of the ring, in the background, unless ctx
// ends very soon.
func (m *Method) Reseal(ctx context.Context) {
	if !m.Interactive() { // else Keep does it
		go m.source.reseal(ctx)
	}
}

// identity is of what tokens are issued for. The secret is not part of it: a rotated secret must
// not drop a valid token.
func (m *Method) identity(to *provider.Config) string {
	if m.Interactive() {
		// Other scopes must not drop what people have granted: a grant goes on as it was until
		// they connect again.
		return digest(m.Grant, to.TokenURL, to.ClientID)
	}
	// An answer that was good without an ID token has none to send.
	field := cmp.Or(m.TokenField, fieldAccessToken)
	parts := slices.Concat(
		[]string{m.Grant, to.TokenURL, to.ClientID, to.Audience, strings.Join(to.Scopes, " "), field, strconv.Itoa(len(to.Resource))},
		to.Resource)
	for _, name := range slices.Sorted(maps.Keys(to.TokenParams)) {
		parts = append(parts, name, to.TokenParams[name])
	}
	return digest(parts...)
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
