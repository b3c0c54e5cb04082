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
// what it makes of its secret.
type Assertion struct {
	// Key signs the assertions of private_key_jwt.
	Key *ClientKey

	// Algorithm is that of client_secret_jwt: HS256, HS384 or HS512. "" stands for HS256.
	Algorithm string

	// Audience is the aud claim. "" stands for Config.Issuer, or for Config.TokenURL if there is
	// no issuer.
	Audience string

	// Lifetime is how long an assertion is valid. 0 stands for DefaultAssertionLifetime.
	Lifetime time.Duration

	// Text is the assertion of assertion_file.
	Text string
}

// ClientKey is a private key of a client.
type ClientKey struct {
	Signer     crypto.Signer // *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	ID         string        // the kid of its assertions, "" for none
	Algorithm  string        // the alg of its assertions
	Thumbprint string        // the x5t#S256 of its assertions (RFC 7515 §4.1.8), "" for none
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

// signAssertion returns a new assertion (RFC 7523 §3). The header has the type "JWT", which SMART
// Backend Services require, and the fields of more.
func (a *attempt) signAssertion(alg string, key any, more map[string]string) (string, error) {
	method := jwt.GetSigningMethod(alg)
	switch {
	case method == nil || method == jwt.SigningMethodNone:
		return "", fmt.Errorf("client_auth %s: algorithm %q is not known", a.auth.name, alg)
	case a.cfg.ClientID == "":
		return "", fmt.Errorf("client_auth %s: %w", a.auth.name, errNoClientID)
	}
	token := jwt.NewWithClaims(method, a.claims(time.Now()))
	for name, val := range more {
		if val != "" {
			token.Header[name] = val
		}
	}
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("client_auth %s: signing with %s: %w", a.auth.name, alg, err)
	}
	return signed, nil
}

// claims returns the claims of an assertion that is made at a time. It has an identifier of its
// own, since providers take an assertion once. Its times begin a little earlier: the clock of the
// provider may be behind.
func (a *attempt) claims(now time.Time) jwt.MapClaims {
	lifetime := cmp.Or(a.auth.assertion.Lifetime, DefaultAssertionLifetime)
	issued := now.Add(-min(lifetime/10, maxBackdate)).Unix()
	return jwt.MapClaims{
		"iss": a.cfg.ClientID,
		"sub": a.cfg.ClientID,
		"aud": cmp.Or(a.auth.assertion.Audience, a.cfg.Issuer, a.cfg.TokenURL),
		"jti": rand.Text(),
		"iat": issued,
		"nbf": issued,
		"exp": issued + int64(lifetime/time.Second),
	}
}
