// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"net/http"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// BenchmarkCredential is what a request does with a credential that does not change: it gets it,
// and puts it in its place.
func BenchmarkCredential(b *testing.B) {
	base, err := wire.ParseBaseURL("https://api.test/v1")
	if err != nil {
		b.Fatal(err)
	}
	const key = "0123456789abcdef"
	for _, method := range []struct {
		name string
		caddy.Provisioner
	}{
		{"bearer", &auth.Bearer{Token: key}},
		{"basic", &auth.Basic{Username: "ann", Password: key}},
		{"header", &auth.APIKey{Key: "X-Api-Key", Value: key}},
		{"query", &auth.APIKey{Key: "key", Value: key, In: "query"}},
		{"cookie", &auth.APIKey{Key: "key", Value: key, In: "cookie"}},
		{"path", &auth.APIKey{Key: "bot", Value: key, In: "path"}},
	} {
		b.Run("path="+method.name, func(b *testing.B) {
			m := provision(b, method.Provisioner)
			ctx, h := b.Context(), http.Header{"Accept": {"*/*"}}
			b.ReportAllocs()
			for b.Loop() {
				c, err := m.Credential(ctx)
				if err != nil {
					b.Fatal(err)
				}
				clear(h)
				c.SetHeader(h)
				if c.SetQuery("") == "" && c.Base(base) == nil {
					b.Fatal("there is no base URL")
				}
			}
		})
	}
}
