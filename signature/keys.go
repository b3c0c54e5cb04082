// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

var algorithms = []string{"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"}

// minSecret is what RFC 7518 §3.2 asks of HS256, and what Appsmith asks of any secret.
const minSecret = 32

func (s *signing) loadKey(t *texts, algorithm string) error {
	if t.secret != "" {
		return s.loadSecret(t.secret, algorithm)
	}
	return s.loadKeyFile(t.keyFile, algorithm)
}

func (s *signing) loadSecret(text, alg string) error {
	secret, err := value.Resolve("signature: secret", text)
	if err != nil {
		return err
	}
	if err := checkSecret(secret); err != nil {
		return err
	}
	if alg == "" {
		// Appsmith's library chooses by the length of the key (jjwt, Keys.hmacShaKeyFor).
		switch {
		case len(secret) < 48:
			alg = "HS256"
		case len(secret) < 64:
			alg = "HS384"
		default:
			alg = "HS512"
		}
	}
	s.key, s.method = []byte(secret), jwt.GetSigningMethod(alg)
	return nil
}

func checkSecret(secret string) error {
	if err := value.CheckSecret("signature: secret", secret); err != nil {
		return err
	}
	if len(secret) < minSecret {
		return fmt.Errorf("signature: secret: it has %d bytes and needs %d at least; `openssl rand -hex 32` makes a good one",
			len(secret), minSecret)
	}
	return nil
}

func (s *signing) loadKeyFile(text, algorithm string) error {
	const option = "signature: key_file"
	text, err := value.ResolvePEM(option, text)
	if err != nil {
		return err
	}
	key, err := signingkey.ParsePEM(text)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	alg, err := algorithmFor(key, algorithm)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	s.key, s.method = key, jwt.GetSigningMethod(alg)
	return nil
}

// algorithmFor returns want if it goes with the key, or the key's own algorithm if want is empty.
func algorithmFor(key crypto.Signer, want string) (string, error) {
	var possible []string
	var kind string
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			// RFC 7518 §3.3
			return "", fmt.Errorf("an RSA key of %d bits is too short; 2048 are the least", k.N.BitLen())
		}
		kind, possible = "an RSA key", []string{"RS256", "PS256"}
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("an EC key on %s is of no use; ES256 needs P-256", k.Curve.Params().Name)
		}
		kind, possible = "an EC key", []string{"ES256"}
	case ed25519.PrivateKey:
		kind, possible = "an Ed25519 key", []string{"EdDSA"}
	default:
		return "", fmt.Errorf("a key of type %T is of no use; RSA, EC P-256 and Ed25519 are", key)
	}
	if want == "" {
		return possible[0], nil
	}
	for _, alg := range possible {
		if alg == want {
			return alg, nil
		}
	}
	return "", fmt.Errorf("algorithm %s does not go with %s, which can do %s", want, kind, strings.Join(possible, ", "))
}
