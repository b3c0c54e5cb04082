// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Config is what a configuration says of a datasource's connections.
type Config struct {
	// Configuration identifies the configuration of Caddy: all sets of one configuration have
	// the same value, and the sets of the next have another. A datasource may stand in several
	// routes, each with a set: what has failed with one set would fail with another set of the
	// same configuration too.
	Configuration any

	// Datasource is the name of the datasource.
	Datasource string

	// Identity is what tokens are issued for, as a digest. A token of another identity is not
	// used.
	Identity string

	// Grant is the name of the grant.
	Grant string

	// Interactive says that people grant the tokens, so that the gateway cannot get them again
	// by itself.
	Interactive bool

	// PerUser says that each user has a connection, in place of a shared one.
	PerUser bool

	// Each is the option connection as it is written, "" for a shared connection.
	Each string

	// Storage is where records are kept.
	Storage certmagic.Storage

	// Keys returns the key ring, and makes a key if there is none.
	Keys func() (*seal.Ring, error)

	// Spool is a folder of this machine for tokens that could not be stored before the process
	// ended; "" for none.
	Spool string

	// Term says how long tokens are used.
	Term record.Term

	// CacheSize bounds the connections that stay in memory; 0 stands for DefaultCacheSize.
	CacheSize int

	// KeepAlive is how long a refresh token may be idle; 0 for no limit.
	KeepAlive time.Duration

	// SweepAfter is how long the record of a dead connection stays; 0 for no limit.
	SweepAfter time.Duration

	// Timeout bounds one token request.
	Timeout time.Duration

	// EndBy returns the time by which everything must have ended. It is called when the
	// configuration has ended. It is nil if nobody knows that time.
	EndBy func() time.Time

	// Console is the public address of the console, "" if there is none.
	Console string

	// Build makes the credential of a token.
	Build func(*record.Token) *auth.Credential

	// Fetch gets a token by client credentials. before is the token that it replaces, or nil.
	// known returns the tokens that no description may show.
	Fetch func(ctx context.Context, known func() []string, before *record.Token) (*record.Token, error)

	// Attempt returns a digest of what Fetch would send now, where that is a password: an API that
	// refuses it may lock the account. It is nil otherwise.
	Attempt func() string

	// Redeem redeems the refresh token of mine. An answer that comes together with an error may
	// have the next refresh token.
	Redeem func(ctx context.Context, known func() []string, mine *record.Token) (*provider.Answer, error)

	// Prepare does what must be done before the refresh token of a connection is claimed. It is nil
	// if there is nothing.
	Prepare func(ctx context.Context, token *record.Token) error

	// Exchanges says what is known where there are no connections, since each caller's own token is
	// exchanged. It is nil otherwise.
	Exchanges func() Exchanges

	// Seed returns the refresh token that the operator has written for the shared connection. It is
	// nil if there is none.
	Seed func() (string, error)

	// SeedOrigin returns where a seed with that digest belongs, before it is redeemed. It returns
	// nil if the configuration says all of it, and is nil itself if it always does.
	SeedOrigin func(ctx context.Context, digest string) (*record.Origin, error)

	// Revoke tells the provider that a token is not used any more.
	Revoke func(context.Context, *record.Token) error

	// Complete adds to statuses what is known beyond the connections, such as what was discovered.
	// It may be nil.
	Complete func([]*Status)

	// Observer is told what becomes of the connections. It may be nil.
	Observer Observer

	// LastRefusal returns the last answer by which the API has refused the credential, nil if there
	// is none. It may be nil.
	LastRefusal func() *Refusal

	Logger *zap.Logger
}

// DefaultCacheSize is how many connections of a datasource stay in memory. The storage has all
// million of them.
const DefaultCacheSize = 100_000

// Set has the connections of a datasource, for one configuration.
type Set struct {
	Config

	pool     *Pool
	slots    record.Slots
	presence *presence // nil for client_credentials, which needs no claims
	shared   *Source
	records  *record.Records // of the shared connection
	ofUsers  *record.Records // of all others
	lease    time.Duration   // how long another node's claim is respected
	life     time.Duration   // the longest that an operation can take

	lockout *lockout // nil if there is no Attempt
	houses  bool     // whether its sources may be in their connections; see Connection.room

	refusedSeed atomic.Pointer[string] // the digest of a seed that the provider has refused
}

// NewSet returns the connections of a datasource. It takes over what earlier configurations have
// left in memory.
func NewSet(cfg Config) *Set {
	pool, _ := pools.LoadOrStore(poolKey(cfg), new(Pool))
	return pool.(*Pool).NewSet(cfg)
}

func poolKey(cfg Config) string { return cfg.Datasource + "\x00" + cfg.Identity }

// NewSet returns the connections of a datasource that are in a pool.
func (p *Pool) NewSet(cfg Config) *Set {
	if cfg.CacheSize == 0 {
		cfg.CacheSize = DefaultCacheSize
	}
	if cfg.Observer == nil {
		cfg.Observer = silent{}
	}
	set := &Set{
		Config: cfg, pool: p, life: cfg.Timeout + 2*record.StorageTimeout,
		slots: record.NewSlots(), // a new configuration may have a storage that works
	}
	if cfg.Interactive {
		set.presence = p.presenceOf(set)
		set.lease = lockPatience + cfg.Timeout + leaseSlack
		// An operation may have to wait for another node's claim before its own.
		set.life = 2*set.lease + recheckDeadline + 2*cfg.Timeout + 4*record.StorageTimeout
	}
	set.records = &record.Records{
		Storage: set.Storage, Slots: set.slots, Failed: cfg.Observer.StorageFailed, Keys: set.Keys, Datasource: set.Datasource,
		Identity: set.Identity, Term: set.Term, Person: set.Interactive,
		Announce: set.presence.announce, Node: set.presence.own(), Spool: set.Spool, Logger: set.Logger,
	}
	if set.lockout = newLockout(set); set.lockout != nil {
		set.life += set.Timeout // the wait for another node's login
	}
	ofUsers := *set.records
	ofUsers.UnknownKeys = p.unknownKeys.Load
	set.ofUsers = &ofUsers
	set.houses = p.isFirst(set)
	set.shared = set.newSource("", p.connection("", cfg.CacheSize))
	set.shared.conn.source.Store(set.shared)
	set.shared.conn.clearFailures()
	p.bind(set) // at the end: timers of other sets may use this set from now on
	return set
}

// Close says that the configuration has ended.
func (set *Set) Close() {
	set.pool.unbind(set)
	if set.EndBy != nil {
		set.pool.mustEnd(set.EndBy())
	}
	if _, err := pools.Delete(poolKey(set.Config)); err != nil {
		set.Logger.Error("a connection may be lost", zap.Error(err))
	}
}

// newSource returns the source of a connection.
func (set *Set) newSource(connection string, conn *Connection) *Source {
	token := conn.token.Load()
	conn.token.CompareAndSwap(token, set.Term.Recount(token))
	s := conn.room(set)
	s.conn, s.set = conn, set
	s.store.Records, s.store.Connection = set.ofUsers, connection
	if connection == "" {
		s.store.Records = set.records
	}
	return s
}

// Shared returns the source of the shared connection.
func (set *Set) Shared() *Source { return set.shared }

// Secrets returns the tokens of a connection that are in memory.
func (set *Set) Secrets(name string) []string { return set.pool.known(name).current().Secrets() }

// Source returns the source of a connection. key is "" for the shared connection.
func (set *Set) Source(key string) *Source {
	if key == "" {
		return set.shared
	}
	return sourceIn(set, set.pool.connection(key, set.CacheSize))
}

// sourceIn returns the source, for a set, of a connection that is in memory.
func sourceIn(set *Set, conn *Connection) *Source {
	before := conn.source.Load()
	if before != nil && before.set.configuredWith(set) {
		return before
	}
	s := set.shared
	if conn.name != "" {
		s = set.newSource(conn.name, conn)
	}
	if conn.source.CompareAndSwap(before, s) && before != nil {
		conn.clearFailures()
	}
	return s
}

// configuredWith reports whether two sets of one datasource belong to one configuration, so that
// either can serve for the other.
func (set *Set) configuredWith(other *Set) bool {
	return set == other || set.Configuration != nil && set.Configuration == other.Configuration
}

// storeOf returns a store that knows the names of a connection's record, and nothing else.
func (set *Set) storeOf(connection string) *record.Store {
	return &record.Store{Records: &record.Records{Datasource: set.Datasource}, Connection: connection}
}
