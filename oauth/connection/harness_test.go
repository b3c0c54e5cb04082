// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// newStore returns a store of the shared connection of the datasource crm.
func newStore(t testing.TB, storage certmagic.Storage, keys ...*seal.Key) (*record.Store, oauthtest.Logs) {
	t.Helper()
	if len(keys) == 0 {
		keys = []*seal.Key{oauthtest.NewKey(t)}
	}
	ring := seal.NewRing(keys[0], keys[1:]...)
	logger, observed := oauthtest.NewLogger()
	return &record.Store{Records: &record.Records{
		Storage: storage, Keys: func() (*seal.Ring, error) { return ring, nil },
		Datasource: "crm", Identity: "identity", Logger: logger,
	}}, observed
}

// newSource returns a source of a new connection, with an empty storage in memory.
func newSource(t testing.TB, fetch func(context.Context, *record.Token) (*record.Token, error)) (*Source, oauthtest.Logs) {
	t.Helper()
	st, _ := newStore(t, new(oauthtest.Memory))
	return sourceOf(st, fetch)
}

// sourceOf returns a source as it is after a start of the process: nothing is known but what the
// store has.
func sourceOf(st *record.Store, fetch func(context.Context, *record.Token) (*record.Token, error)) (*Source, oauthtest.Logs) {
	logger, observed := oauthtest.NewLogger()
	set := new(Pool).NewSet(configOf(st, logger, Config{
		Grant: "client_credentials",
		Fetch: func(ctx context.Context, _ func() []string, before *record.Token) (*record.Token, error) {
			return fetch(ctx, before)
		},
	}))
	return set.shared, observed
}

// configOf completes the configuration of a set that uses what a store uses.
func configOf(st *record.Store, logger *zap.Logger, cfg Config) Config {
	cfg.Datasource, cfg.Identity, cfg.Storage, cfg.Keys = st.Datasource, st.Identity, st.Storage, st.Keys
	cfg.Timeout, cfg.Build, cfg.Logger, cfg.Term = timeout, bearer, logger, st.Term
	return cfg
}

// issue returns a token as a provider has issued it now. A life of 0 is not known.
func issue(access string, life time.Duration) *record.Token {
	return newToken(&provider.Answer{AccessToken: access, Lifetime: life}, time.Now(), record.Term{}, nil)
}

// sent returns what a credential puts into the header Authorization, without "Bearer ".
func sent(c *auth.Credential) string {
	if c == nil {
		return "no credential"
	}
	h := make(http.Header)
	c.SetHeader(h)
	return strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
}

// newToken returns the token of an answer that was received at a time.
func newToken(a *provider.Answer, received time.Time, term record.Term, before *record.Token) *record.Token {
	a.Received = received
	return record.New(IssuedBy(a), term, before)
}
