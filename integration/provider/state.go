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

// SetLife sets how long new access tokens live.
func (p *Provider) SetLife(life time.Duration) { p.store.life.Store(int64(life)) }

// SetRotation sets what becomes of refresh tokens that are redeemed from now on. grace is for
// RotateGrace.
func (p *Provider) SetRotation(rotation Rotation, grace time.Duration) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.rotation, p.store.grace = rotation, grace
}

// Register makes a client known, or gives it another secret and other redirect URLs. One with an
// empty secret is a public client.
func (p *Provider) Register(id, secret string, redirects ...string) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.clients[id] = &client{id: id, secret: secret, redirects: redirects}
}

// RegisterKey makes a client known that has a key in place of a secret (private_key_jwt).
func (p *Provider) RegisterKey(id, keyID string, key crypto.PublicKey, redirects ...string) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.clients[id] = &client{id: id, redirects: redirects, key: &jose.JSONWebKey{Key: key, KeyID: keyID, Use: "sig"}}
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
func (p *Provider) RevokeAccess() {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	for _, t := range p.store.tokens {
		t.revoked = true
	}
}

// RevokeGrants makes all tokens invalid that a user has granted, as when the user withdraws the
// consent at the provider.
func (p *Provider) RevokeGrants(user string) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	for _, f := range p.store.families {
		if f.user == user {
			f.revoked = true
		}
	}
}

// Grants returns how many grants of a user are not revoked: one for each code that was redeemed.
func (p *Provider) Grants(user string) (n int) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	for _, f := range p.store.families {
		if f.user == user && !f.revoked {
			n++
		}
	}
	return n
}

// Revoked returns how many grants were revoked because a spent refresh token was redeemed.
func (p *Provider) Revoked() int { return p.count(&p.store.familiesReused) }

// CodesReused returns how often a code was redeemed that had been redeemed before.
func (p *Provider) CodesReused() int { return p.count(&p.store.codesReused) }

// RevokedTokens returns how many revocation requests have revoked a token.
func (p *Provider) RevokedTokens() int { return p.count(&p.store.revoked) }

func (p *Provider) count(n *int) int {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return *n
}

// Redemptions returns how often each refresh token that was issued has been redeemed, by its
// Digest: successfully, or without success because it was spent. Redemptions after the grant was
// revoked are not counted.
func (p *Provider) Redemptions() map[string]int {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	counts := map[string]int{}
	for text, t := range p.store.refresh {
		counts[Digest(text)] = t.redeemed
	}
	return counts
}

// Digest names a token where the token itself must not stand.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}
