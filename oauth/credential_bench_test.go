// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2"
)

// BenchmarkCredential is what a request does to get its credential: from its placeholders to what
// is sent, for an account that all share, a user's own, and what a caller's token was exchanged
// for. With many connections it is BenchmarkLookup in the package connection.
func BenchmarkCredential(b *testing.B) {
	ann := caddy.NewEmptyReplacer()
	ann.Set("http.auth.user.id", "ann")
	for _, path := range []struct{ name, block, connection string }{
		{"shared", "", ""},
		{"user", "connection {http.auth.user.id}", "ann"},
	} {
		b.Run("path="+path.name, func(b *testing.B) {
			m := parseCode(b, path.block)
			bind(b, m, new(oauthtest.Memory), seal.NewRing(oauthtest.NewKey(b)), nil)
			b.Cleanup(func() { _ = m.Cleanup() })
			if err := m.Source(path.connection).Install(b.Context(), issue("token", 24*time.Hour)); err != nil {
				b.Fatal(err)
			}
			askFor(b, m, ann)
		})
	}
	b.Run("path=exchange", func(b *testing.B) {
		url := oauthtest.Serve(b, oauthtest.Respond(200, `{"access_token":"a","expires_in":86400}`))
		m, _ := exchanging(b, "token_url "+url+"\nsubject_token {http.request.header.Authorization}")
		repl := caddy.NewEmptyReplacer()
		repl.Set(requestSubject, "Bearer "+living("ann", 24*time.Hour))
		askFor(b, m, repl)
	})
}

// askFor measures a request's way to its credential.
func askFor(b *testing.B, m *Method, repl *caddy.Replacer) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		source, ok := m.SourceFor(repl)
		if !ok {
			b.Fatal("there is no source")
		}
		if c, err := source.Credential(ctx); err != nil || c == nil {
			b.Fatal(err)
		}
	}
}
