// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestPrivateKeyJWT: a client without a secret exchanges, refreshes and revokes with its key. Each
// request has an assertion of its own, and the server verifies each.
func TestPrivateKeyJWT(t *testing.T) {
	key, text := rig.ECKey(t)
	file := rig.Save(t, text)
	p := provider.New(t, 2*time.Second)
	g := newGateway(t)
	b := newBed(t, g.addr, p)
	p.RegisterKey(provider.ClientID, "k1", key.Public(), b.redirect())
	b.more = "issuer " + p.URL + "\nrevocation_url " + p.RevocationURL() + "\nclient_auth private_key_jwt {\nkey " + file + "\nkey_id k1\n}"
	p.Issuer.Store(true) // what option issuer asks for
	g.load(t, b.site())
	ann := b.browser("ann")
	ann.connect("own")
	ann.wantServed("own")
	time.Sleep(2500 * time.Millisecond)
	ann.wantServed("own")
	ann.press("own", "disconnect").is(303)
	ann.wantUnconnected("own")

	forms := append(p.Forms(), p.RevocationForms()...)
	seen := make(map[string]bool)
	for _, form := range forms {
		assertion := form.Get("client_assertion")
		if assertion == "" || seen[assertion] || form.Has("client_secret") || form.Get("client_id") != provider.ClientID {
			t.Errorf("%v is without an assertion of its own", form)
		}
		seen[assertion] = true
	}
	if len(p.Forms()) < 2 || len(p.RevocationForms()) == 0 || p.RevokedTokens() == 0 {
		t.Errorf("%d token requests, %d revocations, %d tokens are revoked", len(p.Forms()), len(p.RevocationForms()), p.RevokedTokens())
	}
}
