// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authority is what the provider says of itself, and where it registers clients. It returns its
// issuer.
func (c *mcpCluster) authority(t *testing.T, registered *atomic.Int64) string {
	t.Helper()
	mux, issuer := http.NewServeMux(), ""
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": issuer, "authorization_endpoint": c.AuthorizationURL(), "token_endpoint": c.TokenURL(), "revocation_endpoint": c.RevocationURL(),
			"registration_endpoint": issuer + "/register", "code_challenge_methods_supported": []string{"S256"},
			"scopes_supported": []string{"read", "offline_access"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		})
	})
	mux.HandleFunc("POST /register", func(w http.ResponseWriter, r *http.Request) {
		var client struct {
			Redirects []string `json:"redirect_uris"`
		}
		if err := json.NewDecoder(r.Body).Decode(&client); err != nil {
			t.Error(err)
		}
		registered.Add(1)
		id, secret := rand.Text(), rand.Text()
		c.Register(id, secret, client.Redirects...)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"client_id": id, "client_secret": secret, "client_secret_expires_at": 0})
	})
	issuer = serve(t, mux)
	return issuer
}

// TestMCPDiscover: an operator writes the URL of a server that only knows OAuth. Two people with
// clients of different makes use it through one route of three nodes, for many lives of a token,
// with a provider that revokes everything if a refresh token comes twice. After the one consent
// neither client sees anything of OAuth, and nobody opens a browser.
func TestMCPDiscover(t *testing.T) {
	const seconds, life = 45, 2 * time.Second
	node(t)
	var registered atomic.Int64
	c := newMCPClusterWith(t, 3, life, func(c *mcpCluster) map[string]string {
		return map[string]string{"one": serve(t, c.guard(mcpHandler(nil)))}
	}, func(c *mcpCluster) string {
		c.issuer = c.authority(t, &registered)
		return "discover"
	})
	c.connect(t, "one", "ann")
	c.connect(t, "one", "bob")
	consents := c.Answered.Load()
	var wg sync.WaitGroup
	wg.Go(func() { wantWorked(t, c.inNode(t, "/one", "ann", "v1", seconds), "2025-11-25 ann") })
	wg.Go(func() { wantWorked(t, c.inGo(t, "/one", "bob", "2025-11-25", seconds), "2025-11-25 bob") })
	wg.Wait()
	c.wantNoneRevoked(t, 500)
	renewals := c.Answered.Load() - consents
	// About 44, and 13 less each time that a write takes so long, as on a loaded machine, that a
	// node waits in case another one renews too.
	if renewals < 12 || c.Revoked() > 0 || c.Grants("ann") != 1 || c.Grants("bob") != 1 || registered.Load() != 1 {
		t.Errorf("%d renewals, %d grants were revoked, ann has %d and bob %d, %d clients are registered",
			renewals, c.Revoked(), c.Grants("ann"), c.Grants("bob"), registered.Load())
	}
	t.Logf("%d requests, %d renewals, %d refusals", c.requests.Load(), renewals, c.refused.Load())
}
