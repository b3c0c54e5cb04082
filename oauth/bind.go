// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Environment is what a Method works in.
type Environment struct {
	// Configuration identifies the configuration of Caddy: all methods of one configuration have
	// the same value, and the methods of the next have another. A datasource may stand in
	// several routes, each with a method: what has failed with one method would fail with
	// another method of the same configuration too.
	Configuration any

	// Datasource is the name of the datasource.
	Datasource string

	// Storage is where records are kept.
	Storage certmagic.Storage

	// Keys returns the key ring, and makes a key if there is none.
	Keys func() (*seal.Ring, error)

	// BaseURL is that of the API, "" if only a proxy knows it.
	BaseURL string

	// Dial connects to the provider. DialPublic does too, and never to a private address. Denied
	// reports whether an error says that an address may not be dialled.
	Dial, DialPublic func(ctx context.Context, network, address string) (net.Conn, error)
	Denied           func(error) bool

	// CacheSize bounds the connections that stay in memory; 0 stands for
	// connection.DefaultCacheSize.
	CacheSize int

	// KeepAlive is how long a refresh token may be idle; 0 for no limit.
	KeepAlive time.Duration

	// SweepAfter is how long the record of a dead connection stays; 0 for no limit.
	SweepAfter time.Duration

	// EndBy returns the time by which everything must have ended. It is called when the
	// configuration has ended. It is nil if nobody knows that time.
	EndBy func() time.Time

	// Observer is told of token requests, and of what becomes of connections. It may be nil.
	Observer connection.Observer

	// Spool is a folder of this machine for tokens that could not be stored before the process
	// ended; "" for none.
	Spool string
}

// Bind gives the method its environment. It is called once, after Provision.
func (m *Method) Bind(env Environment) error {
	if env.Datasource == "" {
		return errors.New("name: an OAuth datasource without a base URL needs one; it names the stored token")
	}
	to, err := m.resolve()
	if err == nil {
		err = setAPI(&m.Options, env.BaseURL)
	}
	if err != nil {
		return err
	}
	m.environment, m.bound = env, m.identity(to)
	m.logger = m.logger.With(zap.String("datasource", env.Datasource))
	m.client = provider.New(m.tls, env.Dial)
	m.client.Transport.Proxy = m.proxy.of
	m.public = provider.New(m.tls, env.DialPublic)
	m.public.Transport.Proxy = m.proxy.of
	m.set = connection.NewSet(configOf(m))
	return bindDiscovery(m, to)
}

// configOf returns the configuration of the datasource's connections.
func configOf(m *Method) connection.Config {
	env := m.environment
	return connection.Config{
		Configuration: env.Configuration, Datasource: env.Datasource, Identity: m.bound,
		Grant: m.Grant, Interactive: m.Interactive(), PerUser: m.PerUser(),
		Storage: env.Storage, Keys: env.Keys, Spool: env.Spool, Term: m.term(), CacheSize: env.CacheSize,
		KeepAlive: env.KeepAlive, SweepAfter: env.SweepAfter, Timeout: time.Duration(m.Timeout), EndBy: env.EndBy,
		Console: m.Console(), Build: func(token *record.Token) *auth.Credential { return credentialOf(m, token) }, Revoke: m.revoke,
		Fetch: m.fetch, Redeem: m.redeem, Observer: env.Observer,
		Logger: m.logger,
	}
}

// Source returns the source of a connection. name is "" for the shared connection.
func (m *Method) Source(name string) *connection.Source { return m.set.Source(name) }

// Keep looks after the stored connections until ctx ends.
func (m *Method) Keep(ctx context.Context) { m.set.Keep(ctx) }

// Reseal has the stored token of client_credentials sealed with the first key of the ring, in the
// background, unless ctx ends very soon.
func (m *Method) Reseal(ctx context.Context) { m.set.Reseal(ctx) }

// Statuses returns the status of each connection of the datasource that has a record, ordered by
// Connection. If there is none, it returns one status all the same, which says so.
func (m *Method) Statuses(ctx context.Context) ([]*connection.Status, error) {
	statuses, err := m.set.Statuses(ctx)
	for _, st := range statuses {
		AddDiscovered(m, st)
	}
	return statuses, err
}

// Healthy reports whether nothing fails and nobody has to do anything.
func (m *Method) Healthy(ctx context.Context) bool { return m.set.Healthy(ctx) }

// Datasource returns the name of the datasource that the method is bound to.
func (m *Method) Datasource() string { return m.environment.Datasource }
