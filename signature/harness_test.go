// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[A, B any](_ A, b B, err error) B { return must(b, err) }

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string { return encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }

func sec1(key *ecdsa.PrivateKey) string {
	return encode("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
}

func pkcs1(key *rsa.PrivateKey) string {
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func provision(t *testing.T, j *signature.JWT) *signature.JWT {
	t.Helper()
	if err := j.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return j
}

func sign(t *testing.T, j *signature.JWT, repl *caddy.Replacer) string {
	t.Helper()
	values, err := j.Sign(repl)
	if err != nil || len(values) != 1 {
		t.Fatalf("Sign: %q, %v", values, err)
	}
	return values[0]
}

// verify checks a token with an independent library, and returns its payload and header.
func verify(t *testing.T, token, alg string, key any) (payload []byte, header jose.Header) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	payload, err = jws.Verify(key)
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	return payload, jws.Signatures[0].Header
}

// parts returns the header and the payload of a token as they are written.
func parts(t *testing.T, token string) (header, payload string) {
	t.Helper()
	split := strings.Split(token, ".")
	if len(split) != 3 {
		t.Fatalf("%q has %d parts", token, len(split))
	}
	var texts [2]string
	for i := range texts {
		text, err := base64.RawURLEncoding.DecodeString(split[i])
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1]
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	_, payload := parts(t, token)
	var claims map[string]any
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return claims
}
