// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Environment is what a Method works in.
type Environment = connection.Environment

// Bind gives the method its environment. It is called once, after Provision.
func (m *Method) Bind(env Environment) error {
	if env.Datasource == "" {
		return errors.New("name: an OAuth datasource without a base URL needs one; it names the stored token")
	}
	to, err := latestConfig(&m.Options)
	if err == nil {
		err = setAPI(&m.Options, env.BaseURL)
	}
	if err != nil {
		return err
	}
	m.environment, m.bound, m.facts = env, m.identity(to), factsOf(to, env)
	m.logger = m.logger.With(zap.String("datasource", env.Datasource))
	m.client = provider.New(m.tls, env.Dial)
	m.client.Transport.Proxy = m.proxy.to.Of
	m.public = provider.New(m.tls, env.DialPublic)
	m.public.Transport.Proxy = m.proxy.to.Of
	m.set = connection.NewSet(configOf(m))
	m.exchanges = newExchanger(m)
	return bindDiscovery(m, to)
}

// configOf returns the configuration of the datasource's connections.
func configOf(m *Method) connection.Config {
	env := m.environment
	var seed func() (string, error)
	var origin func(context.Context, string) (*record.Origin, error)
	if m.RefreshToken != "" && (m.DPoP || discovers(&m.Options)) {
		origin = func(ctx context.Context, digest string) (*record.Origin, error) { return seedOrigin(ctx, m, digest) }
	}
	if m.RefreshToken != "" {
		seed = func() (string, error) { return seedOf(m) }
	}
	return connection.Config{
		Configuration: env.Configuration, Datasource: env.Datasource, Identity: m.bound,
		Grant: m.Grant, Interactive: m.Interactive(), PerUser: m.Options.PerUser(), Each: m.Connection,
		Storage: env.Storage, Keys: env.Keys, Spool: env.Spool, Term: m.term(), CacheSize: env.CacheSize,
		KeepAlive: env.KeepAlive, SweepAfter: env.SweepAfter, Timeout: time.Duration(m.Timeout), EndBy: env.EndBy,
		Console: m.Console(), Build: func(token *record.Token) *auth.Credential { return credentialOf(m, token) },
		Revoke: func(ctx context.Context, token *record.Token) error { return revoke(ctx, m, token) },
		Redeem: func(ctx context.Context, known func() []string, mine *record.Token) (*provider.Answer, error) {
			return redeem(ctx, m, known, mine)
		},
		Prepare: func(ctx context.Context, token *record.Token) error { return prepare(ctx, m, token) },
		Fetch:   m.fetch, Attempt: attemptOf(m), Seed: seed, SeedOrigin: origin, Exchanges: exchangesOf(m), Observer: env.Observer, LastRefusal: env.LastRefusal,
		Complete: func(statuses []*connection.Status) { addDiscovered(m, statuses) }, Logger: m.logger,
	}
}

// attemptOf returns what returns a digest of what a token request would send, for the grant that
// sends a user's password; nil for all others.
func attemptOf(m *Method) func() string {
	if m.Grant != grantPassword {
		return nil
	}
	return func() string {
		to, err := latestConfig(&m.Options)
		if err != nil {
			return ""
		}
		parts := []string{m.identity(to), to.Username, to.Password, to.ClientID, to.ClientSecret, to.ClientAuth, to.ScopeSeparator, strconv.FormatBool(to.JSON)}
		for _, name := range slices.Sorted(maps.Keys(to.TokenHeader)) {
			parts = append(parts, name, to.TokenHeader[name])
		}
		if a := to.Assertion; a != nil {
			parts = append(parts, a.Algorithm, a.Issuer, a.Subject, a.Audience, a.Lifetime.String(), a.Text)
			for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
				parts = append(parts, name, a.Claims[name])
			}
			if a.Key != nil {
				parts = append(parts, a.Key.ID, a.Key.Algorithm, a.Key.Thumbprint, thumbprint(a.Key.Signer))
			}
		}
		return digest(parts...)
	}
}

// Connections returns the connections of the datasource.
func (m *Method) Connections() *connection.Set { return m.set }

// Source returns the source of a connection. name is "" for the shared connection.
func (m *Method) Source(name string) *connection.Source { return m.set.Source(name) }

// Keep looks after the stored connections until ctx ends.
func (m *Method) Keep(ctx context.Context) { m.set.Keep(ctx) }

// Statuses returns the status of each connection of the datasource that has a record, ordered by
// Connection. If there is none, it returns one status all the same, which says so.
func (m *Method) Statuses(ctx context.Context) ([]*connection.Status, error) {
	return m.set.Statuses(ctx)
}

// Healthy reports whether nothing fails and nobody has to do anything.
func (m *Method) Healthy(ctx context.Context) bool {
	return m.set.Healthy(ctx)
}

// Datasource returns the name of the datasource that the method is bound to.
func (m *Method) Datasource() string { return m.environment.Datasource }
