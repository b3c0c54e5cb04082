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

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Environment is what a Method works in.
type Environment struct {
	// Configuration is the same for all methods of one configuration, and another one for those of the next. One datasource may stand
	// in several routes: what failed with one of its methods would fail with the other, too.
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

	// EndBy returns by when everything must have ended. It is called when the configuration has ended. nil: that is not known.
	EndBy func() time.Time

	// Spool is a folder of this machine, where a token is left that could not be stored before the process ended; "": there is none.
	Spool string
}

// Bind gives the method what it works in. It is called once, after Provision.
func (m *Method) Bind(env Environment) error {
	if env.Datasource == "" {
		return errors.New("name: an OAuth datasource without a base URL needs one; it names the stored token")
	}
	to, err := m.resolve()
	if err != nil {
		return err
	}
	m.environment, m.bound = env, m.identity(to)
	m.logger = m.logger.With(zap.String("datasource", env.Datasource))
	m.client = provider.New(m.tls, env.Dial)
	m.client.Transport.Proxy = m.proxy.of
	m.set = connection.NewSet(m.config())
	return nil
}

// config returns what the connections need to know of the method.
func (m *Method) config() connection.Config {
	env := m.environment
	return connection.Config{
		Configuration: env.Configuration, Datasource: env.Datasource, Identity: m.bound,
		Grant: m.Grant, Interactive: m.Interactive(), PerUser: m.PerUser(),
		Storage: env.Storage, Keys: env.Keys, Spool: env.Spool, Term: m.term(), CacheSize: env.CacheSize,
		KeepAlive: env.KeepAlive, SweepAfter: env.SweepAfter, Timeout: time.Duration(m.Timeout), EndBy: env.EndBy,
		Console: m.Console(), Build: m.build, Revoke: m.revoke,
		Fetch: m.fetch, Redeem: m.redeem,
		Logger: m.logger,
	}
}

// Source returns the source of a connection. name is "" for the shared one.
func (m *Method) Source(name string) *connection.Source { return m.set.Source(name) }

// Keep looks after the stored connections until ctx ends.
func (m *Method) Keep(ctx context.Context) { m.set.Keep(ctx) }

// Reseal has what is stored sealed with the first key of the ring, in the background, unless ctx ends very soon.
func (m *Method) Reseal(ctx context.Context) { m.set.Reseal(ctx) }

// Statuses returns what is known of all connections of the datasource that have a record, in order of Connection.
func (m *Method) Statuses(ctx context.Context) ([]*connection.Status, error) {
	return m.set.Statuses(ctx)
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
