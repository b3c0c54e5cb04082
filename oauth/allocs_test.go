// SPDX-License-Identifier: Apache-2.0

//go:build !race

package oauth

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2"
)

// TestAllocsConnection: on the way of a request, finding the user's own connection and its
// credential allocates nothing.
func TestAllocsConnection(t *testing.T) {
	m := parseCode(t, "connection {http.auth.user.id}")
	bind(t, m, new(oauthtest.Memory), seal.NewRing(oauthtest.NewKey(t)), nil)
	defer m.Cleanup()
	token := issue("ann's", time.Hour)
	if err := m.Source("ann").Install(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	repl := caddy.NewEmptyReplacer()
	repl.Set("http.auth.user.id", "ann")
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		key, ok := m.Key(repl)
		if c, err := m.Source(key).Credential(ctx); !ok || err != nil || c == nil {
			t.Fatal(ok, err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAllocsExchange: finding what a caller's token was exchanged for allocates nothing.
func TestAllocsExchange(t *testing.T) {
	url := oauthtest.Serve(t, oauthtest.Respond(200, `{"access_token":"a","expires_in":3600}`))
	m, _ := exchanging(t, "token_url "+url+"\nsubject_token {http.request.header.Authorization}")
	repl := caddy.NewEmptyReplacer()
	repl.Set(requestSubject, "Bearer "+living("ann", time.Hour))
	ctx := t.Context()
	ask := func() {
		source, ok := m.SourceFor(repl)
		if !ok {
			t.Fatal("there is no source")
		}
		if c, err := source.Credential(ctx); err != nil || c == nil {
			t.Fatal(err)
		}
	}
	ask()
	if n := testing.AllocsPerRun(1000, ask); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
