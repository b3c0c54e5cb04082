// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issued is what a test changes in the server's storage, and what it learns from there.
type issued struct{ store *store }

// SetLife sets how long new access tokens live.
func (i *issued) SetLife(life time.Duration) { i.store.life.Store(int64(life)) }

// SetRotation sets what becomes of refresh tokens that are redeemed from now on. grace is for
// RotateGrace.
func (i *issued) SetRotation(rotation Rotation, grace time.Duration) {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	i.store.rotation, i.store.grace = rotation, grace
}

// Register makes a client known, or gives it another secret and other redirect URLs. One with an
// empty secret is a public client.
func (i *issued) Register(id, secret string, redirects ...string) {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	i.store.clients[id] = &client{id: id, secret: secret, redirects: redirects}
}

// RegisterKey makes a client known that has a key in place of a secret (private_key_jwt).
func (i *issued) RegisterKey(id, keyID string, key crypto.PublicKey, redirects ...string) {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	i.store.clients[id] = &client{id: id, redirects: redirects, key: &jose.JSONWebKey{Key: key, KeyID: keyID, Use: "sig"}}
}

// Accepts reports whether an access token is one that the server has issued, and that has neither
// expired nor been revoked, as an API knows that shares the server's key. user is whose it is:
// the client's id for a token of the grant client_credentials.
func (p *Provider) Accepts(text string) (user string, ok bool) {
	plain, err := p.server.Crypto().Decrypt(text)
	if err != nil {
		return "", false
	}
	id, _, _ := strings.Cut(plain, ":")
	t := p.store.valid(id)
	if t == nil {
		return "", false
	}
	return t.user, true
}

// Introspects is Accepts over the network, RFC 7662.
func (p *Provider) Introspects(ctx context.Context, text string) (bool, error) {
	form := url.Values{"token": {text}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+IntrospectPath, strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(apiID, url.QueryEscape(apiSecret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	var answer struct {
		Active bool `json:"active"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	return answer.Active, err
}

// RevokeAccess makes all access tokens invalid that have been issued so far, without telling
// anybody. Refresh tokens stay valid.
func (i *issued) RevokeAccess() {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	for _, t := range i.store.tokens {
		t.revoked = true
	}
}

// RevokeGrants makes all tokens invalid that a user has granted, as when the user withdraws the
// consent at the provider.
func (i *issued) RevokeGrants(user string) {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	for _, f := range i.store.families {
		if f.user == user {
			f.revoked = true
		}
	}
}

// Grants returns how many grants of a user are not revoked: one for each code that was redeemed.
func (i *issued) Grants(user string) (n int) {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	for _, f := range i.store.families {
		if f.user == user && !f.revoked {
			n++
		}
	}
	return n
}

// Revoked returns how many grants were revoked because a spent refresh token was redeemed.
func (i *issued) Revoked() int { return i.count(&i.store.familiesReused) }

// CodesReused returns how often a code was redeemed that had been redeemed before.
func (i *issued) CodesReused() int { return i.count(&i.store.codesReused) }

// RevokedTokens returns how many revocation requests have revoked a token.
func (i *issued) RevokedTokens() int { return i.count(&i.store.revoked) }

func (i *issued) count(n *int) int {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	return *n
}

// Redemptions returns how often each refresh token that was issued has been redeemed, by its
// Digest: successfully, or without success because it was spent. Redemptions after the grant was
// revoked are not counted.
func (i *issued) Redemptions() map[string]int {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	counts := map[string]int{}
	for text, t := range i.store.refresh {
		counts[Digest(text)] = t.redeemed
	}
	return counts
}

// Digest names a token where the token itself must not stand.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}
