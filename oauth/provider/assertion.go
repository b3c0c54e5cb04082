// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Assertion is what a client authenticates with in the place of its secret (RFC 7521 §4.2), or
// what it makes of its secret; or what it gets a token for (RFC 7523 §2.1).
type Assertion struct {
	// Key signs the assertions of private_key_jwt.
	Key *ClientKey

	// Algorithm is that of client_secret_jwt: HS256, HS384 or HS512. "" stands for HS256.
	Algorithm string

	// Issuer is the iss claim, and Subject the sub claim. "" stands for the client.
	Issuer, Subject string

	// Claims are further claims, which may take the place of those above. The claim sub is left
	// out if it is "".
	Claims map[string]string

	// Audience is the aud claim. "" stands for Config.Issuer, or for Config.TokenURL if there is
	// no issuer.
	Audience string

	// Lifetime is how long an assertion is valid. 0 stands for DefaultAssertionLifetime.
	Lifetime time.Duration

	// Text is the assertion of a file, in the place of all that.
	Text string
}

// ClientKey is a private key of a client.
type ClientKey struct {
	Signer     crypto.Signer // *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	ID         string        // the kid of its assertions, "" for none
	Algorithm  string        // the alg of its assertions
	Thumbprint string        // the x5t#S256 of its assertions (RFC 7515 §4.1.8), "" for none
}

// header returns what the header of an assertion says of the key.
func (k *ClientKey) header() map[string]string {
	return map[string]string{"kid": k.ID, "x5t#S256": k.Thumbprint}
}

// DefaultAssertionLifetime is how long an assertion is valid by default. It is used at once, and
// once.
const DefaultAssertionLifetime = time.Minute

// maxBackdate is how far the clock of a provider may be behind at most. See claims.
const maxBackdate = 10 * time.Second

// assertionType is the client_assertion_type of a JSON Web Token (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var errNoClientID = errors.New("client_id is missing; it is the issuer and the subject of the assertion")

// assert puts an assertion into the request's parameters. client_id is redundant (RFC 7521 §4.2),
// but Entra asks for it.
func (a *attempt) assert(assertion string) error {
	a.form.Set("client_assertion_type", assertionType)
	a.form.Set("client_assertion", assertion)
	return clientAuthNone(a)
}

// signAssertion returns a new assertion that authenticates the client (RFC 7523 §3).
func (a *attempt) signAssertion(alg string, key any, more map[string]string) (string, error) {
	if a.cfg.ClientID == "" {
		return "", fmt.Errorf("client_auth %s: %w", a.auth.name, errNoClientID)
	}
	signed, err := a.auth.assertion.sign(a.cfg, alg, key, more)
	if err != nil {
		return "", fmt.Errorf("client_auth %s: %w", a.auth.name, err)
	}
	return signed, nil
}

// signed returns a new assertion that is signed with Key.
func (s *Assertion) signed(cfg *Config) (string, error) {
	return s.sign(cfg, s.Key.Algorithm, s.Key.Signer, s.Key.header())
}

// sign returns a new assertion. The header has the type "JWT", which SMART Backend Services
// require, and the fields of more.
func (s *Assertion) sign(cfg *Config, alg string, key any, more map[string]string) (string, error) {
	method := jwt.GetSigningMethod(alg)
	if method == nil || method == jwt.SigningMethodNone {
		return "", fmt.Errorf("algorithm %q is not known", alg)
	}
	token := jwt.NewWithClaims(method, s.claims(cfg, time.Now()))
	for name, val := range more {
		if val != "" {
			token.Header[name] = val
		}
	}
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing with %s: %w", alg, err)
	}
	return signed, nil
}

// claims returns the claims of an assertion that is made at a time. It has an identifier of its
// own, since providers take an assertion once. Its times begin a little earlier: the clock of the
// provider may be behind.
func (s *Assertion) claims(cfg *Config, now time.Time) jwt.MapClaims {
	lifetime := cmp.Or(s.Lifetime, DefaultAssertionLifetime)
	issued := now.Add(-min(lifetime/10, maxBackdate)).Unix()
	issuer := cmp.Or(s.Issuer, cfg.ClientID)
	claims := jwt.MapClaims{
		"iss": issuer,
		"sub": cmp.Or(s.Subject, issuer),
		"aud": cmp.Or(s.Audience, cfg.Issuer, cfg.TokenURL),
		"jti": rand.Text(),
		"iat": issued,
		"nbf": issued,
		"exp": issued + int64(lifetime/time.Second),
	}
	for name, val := range s.Claims {
		claims[name] = val
	}
	if claims["sub"] == "" {
		delete(claims, "sub")
	}
	return claims
}
