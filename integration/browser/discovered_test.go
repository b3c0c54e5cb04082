// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDiscoveredPages looks at the cards of datasources whose providers are discovered: one was,
// and one lies.
func TestDiscoveredPages(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	metadata := func(path, issuer string) {
		mux.HandleFunc("GET /.well-known/oauth-authorization-server"+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": issuer, "authorization_endpoint": server.URL + path + "/authorize", "token_endpoint": server.URL + path + "/token",
				"registration_endpoint": server.URL + path + "/register", "revocation_endpoint": server.URL + path + "/revoke",
				"code_challenge_methods_supported": []string{"S256"}, "scopes_supported": []string{"notes.read", "offline_access"},
			})
		})
	}
	metadata("/login", server.URL+"/login")
	metadata("/liar", "https://login.example.com")
	mux.HandleFunc("POST /login/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"t","token_type":"Bearer","expires_in":3600}`))
	})
	mux.HandleFunc("POST /login/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"client_id":"3f0c2f7e-2f0d-4d0c-9a56-0b6d0a0f9d11","client_secret":"canary-of-a-registration"}`))
	})
	discovers := func(name, path string) string {
		return "handle_path /" + name + "/* {\nauthenticated_api https://" + name + ".example.com/v1 {\nname " + name + "\nauth oauth2 client_credentials {\ndiscover " +
			server.URL + path + "\nscopes notes.read\n}\n}\n}\n"
	}
	g := newGateway(t, time.Minute, func(g *gateway) {
		g.without, g.console, g.more = true, g.url+"/connect/", discovers("notes", "/login")+discovers("mail", "/liar")
	})
	for name, want := range map[string]int{"notes": http.StatusSeeOther, "mail": http.StatusServiceUnavailable} {
		if status, err := g.refresh("ann", name); err != nil || status != want {
			t.Fatalf("%s: %d, %v", name, status, err)
		}
	}
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	b.wantText(t, "Who the provider is could not be found out.", "More exactly: discovery at", "What to do: if that is the right one, pin it: issuer https://login.example.com.")
	b.toggle(t, "What was discovered")
	b.wantText(t, "registered dynamically, 3f0c2f7e-2f0d-4d0c-9a56-0b6d0a0f9d11, since the provider registers clients", server.URL+"/login/token")
	if text := eval[string](t, b, "document.documentElement.outerHTML"); strings.Contains(text, "canary") {
		t.Error("the registered secret is on the page")
	}
	b.show(t, "console-discovered")
}
