// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto" //nolint:staticcheck // as a kind of key that must be refused
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
)

func TestAlgorithms(t *testing.T) {
	long := secret32 + secret32
	for _, tt := range []struct {
		name string
		jwt  *signature.JWT
		alg  string
		key  any // the verifier's
	}{
		{"HS256", &signature.JWT{Secret: long, Algorithm: "HS256"}, "HS256", []byte(long)},
		{"HS384", &signature.JWT{Secret: long, Algorithm: "HS384"}, "HS384", []byte(long)},
		{"HS512", &signature.JWT{Secret: long, Algorithm: "HS512"}, "HS512", []byte(long)},
		{"UTF-8", &signature.JWT{Secret: strings.Repeat("ü", 16)}, "HS256", []byte(strings.Repeat("ü", 16))},
		{"RSA", &signature.JWT{KeyFile: pkcs8(rsaKey())}, "RS256", rsaKey().Public()},
		{"RS256", &signature.JWT{KeyFile: pkcs1(rsaKey()), Algorithm: "RS256"}, "RS256", rsaKey().Public()},
		{"PS256", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "PS256"}, "PS256", rsaKey().Public()},
		{"EC", &signature.JWT{KeyFile: pkcs8(ecKey())}, "ES256", ecKey().Public()},
		{"ES256", &signature.JWT{KeyFile: sec1(ecKey()), Algorithm: "ES256"}, "ES256", ecKey().Public()},
		{"Ed25519", &signature.JWT{KeyFile: pkcs8(ed25519Key())}, "EdDSA", ed25519Key().Public()},
		{"EdDSA", &signature.JWT{KeyFile: pkcs8(ed25519Key()), Algorithm: "EdDSA"}, "EdDSA", ed25519Key().Public()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, provision(t, tt.jwt), nil)
			_, header := verify(t, token, tt.alg, tt.key)
			if header.Algorithm != tt.alg {
				t.Errorf("alg is %q", header.Algorithm)
			}
			// A changed token must have a wrong signature.
			i := strings.IndexByte(token, '.') + 5
			forged := token[:i] + string(token[i]^1) + token[i+1:]
			if jws, err := jose.ParseSignedCompact(forged, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)}); err == nil {
				if _, err := jws.Verify(tt.key); err == nil {
					t.Error("a forged token verifies")
				}
			}
		})
	}
}

// TestPS256Salt checks that the salt is as long as the hash (RFC 7518 §3.5). Go's verifiers accept
// any salt by default.
func TestPS256Salt(t *testing.T) {
	token := sign(t, provision(t, &signature.JWT{KeyFile: pkcs1(rsaKey()), Algorithm: "PS256"}), nil)
	i := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	hash := crypto.SHA256.New()
	hash.Write([]byte(token[:i]))
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(&rsaKey().PublicKey, crypto.SHA256, hash.Sum(nil), sig, opts); err != nil {
		t.Error(err)
	}
}
