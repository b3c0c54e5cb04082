// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestAdoptDiscovered: with discover, too, a refresh token from elsewhere is redeemed, at the
// endpoint that is found.
func TestAdoptDiscovered(t *testing.T) {
	issuer := ""
	token := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			_, _ = io.WriteString(w, strings.ReplaceAll(`{"issuer":"ISS","token_endpoint":"ISS/token","authorization_endpoint":"ISS/authorize",
				"response_types_supported":["code"],"code_challenge_methods_supported":["S256"]}`, "ISS", issuer))
			return
		}
		if r.URL.Path != "/token" || r.PostFormValue("refresh_token") != "r0" {
			t.Errorf("asked at %s for %v", r.URL.Path, r.PostForm)
		}
		_, _ = io.WriteString(w, `{"access_token":"a","refresh_token":"r1","expires_in":3600}`)
	})
	issuer = strings.TrimSuffix(token, "/token")
	m, _ := methodOf(t, "oauth2 authorization_code {\ndiscover "+issuer+"\nclient_id i\nclient_secret s\nredirect_url https://g.example/connect/callback\n}")
	ring := seal.NewRing(oauthtest.NewKey(t))
	if err := m.Bind(Environment{Datasource: "crm", Storage: new(oauthtest.Memory), Keys: func() (*seal.Ring, error) { return ring, nil }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Cleanup() })
	if err := Adopt(t.Context(), m, "", "r0"); err != nil {
		t.Fatal(err)
	}
	if token := m.Source("").Token(); token.Access != "a" || token.Refresh != "r1" || token.Connected.IsZero() || token.Identity != m.bound {
		t.Errorf("the connection is %s, renewed with %s", token.Access, token.Refresh)
	}
}
