// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// newDiscovering runs a Caddy whose datasource crm discovers a provider that registers clients.
func newDiscovering(t *testing.T) (l *localRig, issuer string) {
	t.Helper()
	t.Setenv("TEST_KEY", seal.NewKey())
	headless(t)
	var registered atomic.Int64
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": server.URL, "authorization_endpoint": server.URL + "/authorize", "token_endpoint": server.URL + "/token",
				"registration_endpoint": server.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
			})
		case "/register":
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"client_id":"client-%d","client_secret":"%s"}`, registered.Add(1), adminSecret)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	l = &localRig{admin: rig.Free(t), log: filepath.Join(t.TempDir(), "log")}
	rig.Start(t, "{\nadmin "+l.admin+"\npersist_config off\nauto_https off\nlog {\noutput file "+filepath.ToSlash(l.log)+"\n}\nstorage file_system "+
		filepath.ToSlash(t.TempDir())+"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\nauthenticated_api https://api.example.com {\nname crm\n"+
		"auth oauth2 authorization_code {\ndiscover "+server.URL+"\nredirect_url https://gateway.example.com/connect/callback\nscopes read\n}\n}\n}")
	return l, server.URL
}

// TestStatusDiscovered: status, in both forms, has what was discovered and chosen, and why.
func TestStatusDiscovered(t *testing.T) {
	l, issuer := newDiscovering(t)
	l.begin(t, "crm")
	_, body := askAdmin(t, l.admin, http.MethodGet, "connections", "")
	var statuses []*connection.Status
	if err := json.Unmarshal([]byte(body), &statuses); err != nil || len(statuses) != 1 {
		t.Fatal(err, body)
	}
	d := statuses[0].Discovered
	if d == nil || d.Issuer != issuer || d.TokenURL != issuer+"/token" || d.Registration != "dynamic" || d.Because == "" || d.WrittenOut[0] != "scopes" {
		t.Errorf("the admin endpoint says %s", body)
	}
	out, err := output(t, "", "status", "--address", l.admin)
	for _, part := range []string{"Discovered for crm:", issuer + "/authorize", "registered dynamically, since the provider registers clients"} {
		if err != nil || !strings.Contains(out, part) {
			t.Errorf("%v, status lacks %q: %s", err, part, out)
		}
	}
	if strings.Contains(body+out, adminSecret) {
		t.Error("the secret is shown")
	}
}

// TestConnectLocalForgotten: a provider that sends the person back because it does not know the
// registered client any more gets another one with the next attempt.
func TestConnectLocalForgotten(t *testing.T) {
	l, _ := newDiscovering(t)
	c := l.begin(t, "crm")
	if id := c.page.Query().Get("client_id"); id != "client-1" {
		t.Fatalf("the client is %s", id)
	}
	c.come("GET", c.back.Host, "error=unauthorized_client&state=STATE")
	if _, err := c.end(); err == nil || !strings.Contains(err.Error(), "begin again, and it is registered anew") {
		t.Errorf("the command says %v", err)
	}
	if id := l.begin(t, "crm").page.Query().Get("client_id"); id != "client-2" {
		t.Errorf("the client is %s then", id)
	}
}
