// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
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
	if s.hex {
		raw, err := hex.DecodeString(strings.TrimSpace(secret))
		if err != nil {
			return errors.New("signature: secret: it is not made of pairs of hexadecimal digits, as secret_encoding hex says")
		}
		secret = string(raw)
		if len(secret) < minSecret {
			return fmt.Errorf("signature: secret: its digits stand for %d bytes, and %d at least are needed", len(secret), minSecret)
		}
	} else if err := checkSecret(secret); err != nil {
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
	key, err := signingkey.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	alg, err := signingkey.AlgorithmFor(key.Signer, cmp.Or(algorithm, key.Algorithm))
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	s.key, s.keyID, s.method = key.Signer, key.ID, jwt.GetSigningMethod(alg)
	return nil
}
