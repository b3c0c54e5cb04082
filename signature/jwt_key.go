// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/pemfile"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// minSecret is the length that RFC 7518 §3.2 demands for HS256, and Appsmith for any secret.
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
		alg = secretAlgorithm(secret)
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
	key, err := parsePrivateKey(text)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	alg, err := keyAlgorithm(key, algorithm)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	s.key, s.method = key, jwt.GetSigningMethod(alg)
	return nil
}

// parsePrivateKey returns the first private key in a PEM text.
func parsePrivateKey(text string) (crypto.Signer, error) {
	blocks, err := pemfile.Blocks(text)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			if err := pemfile.CheckKey(block); err != nil {
				return nil, err
			}
		}
		var key any
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			continue // EC PARAMETERS or a certificate
		}
		if err != nil {
			return nil, fmt.Errorf("its %s cannot be read; make it again with `openssl pkey`", block.Type)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("its key is of a kind that cannot sign; RSA, EC P-256 and Ed25519 can")
		}
		return signer, nil
	}
	return nil, errors.New("there is no private key in it; it must be a PEM with a PRIVATE KEY block " +
		"(`openssl genpkey -algorithm ed25519` makes one)")
}
