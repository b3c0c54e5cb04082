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
		{"RS384", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "RS384"}, "RS384", rsaKey().Public()},
		{"RS512", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "RS512"}, "RS512", rsaKey().Public()},
		{"PS384", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "PS384"}, "PS384", rsaKey().Public()},
		{"PS512", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "PS512"}, "PS512", rsaKey().Public()},
		{"EC", &signature.JWT{KeyFile: pkcs8(ecKey())}, "ES256", ecKey().Public()},
		{"ES256", &signature.JWT{KeyFile: sec1(ecKey()), Algorithm: "ES256"}, "ES256", ecKey().Public()},
		{"P-384", &signature.JWT{KeyFile: pkcs8(ec384Key())}, "ES384", ec384Key().Public()},
		{"ES384", &signature.JWT{KeyFile: sec1(ec384Key()), Algorithm: "ES384"}, "ES384", ec384Key().Public()},
		{"P-521", &signature.JWT{KeyFile: pkcs8(ec521Key())}, "ES512", ec521Key().Public()},
		{"ES512", &signature.JWT{KeyFile: sec1(ec521Key()), Algorithm: "ES512"}, "ES512", ec521Key().Public()},
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

// TestPSSSalt checks that the salt is as long as the hash (RFC 7518 §3.5). Go's verifiers accept
// any salt by default.
func TestPSSSalt(t *testing.T) {
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		token := sign(t, provision(t, &signature.JWT{KeyFile: pkcs1(rsaKey()), Algorithm: alg}), nil)
		i := strings.LastIndexByte(token, '.')
		sig, err := base64.RawURLEncoding.DecodeString(token[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		digest := hash.New()
		digest.Write([]byte(token[:i]))
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		if err := rsa.VerifyPSS(&rsaKey().PublicKey, hash, digest.Sum(nil), sig, opts); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestJWK: a JSON Web Key brings its kid and its algorithm, and what is written out wins.
func TestJWK(t *testing.T) {
	file := writeFile(t, string(must(jose.JSONWebKey{Key: rsaKey(), KeyID: "k1", Algorithm: "PS384", Use: "sig"}.MarshalJSON())))
	for _, tt := range []struct {
		jwt      *signature.JWT
		alg, kid string
	}{
		{&signature.JWT{KeyFile: file}, "PS384", "k1"},
		{&signature.JWT{KeyFile: file, Algorithm: "RS512", KeyID: "k2"}, "RS512", "k2"},
	} {
		token := sign(t, provision(t, tt.jwt), nil)
		if _, header := verify(t, token, tt.alg, rsaKey().Public()); header.KeyID != tt.kid {
			t.Errorf("kid %q", header.KeyID)
		}
	}
}
