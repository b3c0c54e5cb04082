// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// keys has a key of each kind, under the default algorithm.
func keys() map[string]crypto.Signer {
	kinds := make(map[string]crypto.Signer)
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		kinds[alg] = rig.SigningKeys()[alg]
	}
	return kinds
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string { return encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }

func isSame(a, b crypto.Signer) bool {
	return a.(interface {
		Equal(x crypto.PrivateKey) bool
	}).Equal(b)
}

func TestParsePEM(t *testing.T) {
	for alg, key := range keys() {
		texts := []string{pkcs8(key)}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			texts = append(texts, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)))
		case *ecdsa.PrivateKey:
			texts = append(texts, encode("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k))))
		}
		for _, text := range texts {
			got, err := signingkey.Parse(text)
			if err != nil || !isSame(got.Signer, key) || got.ID != "" || got.Algorithm != "" {
				t.Errorf("%s: %v", alg, err)
			}
		}
	}
	for kind, want := range map[string]string{"PUBLIC KEY": "public key", "CERTIFICATE": "certificate"} {
		if _, err := signingkey.Parse(encode(kind, []byte("x"))); err == nil || !strings.Contains(err.Error(), "no private key in it, but a "+want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := signingkey.Parse("hello"); err == nil || !strings.Contains(err.Error(), "no private key") {
		t.Error(err)
	}
}

// TestAlgorithmFor: each key signs with its own algorithms and with no other.
func TestAlgorithmFor(t *testing.T) {
	for def, key := range keys() {
		if got, err := signingkey.AlgorithmFor(key, ""); got != def || err != nil {
			t.Errorf("%s: the default is %q, %v", def, got, err)
		}
		for _, alg := range append(signingkey.Algorithms(), "HS256", "none") {
			possible := alg == def || def == "RS256" && slices.Contains(signingkey.Algorithms()[:6], alg)
			got, err := signingkey.AlgorithmFor(key, alg)
			if possible != (err == nil) || possible && got != alg {
				t.Errorf("%s for the key of %s: %q, %v", alg, def, got, err)
			}
		}
	}
	for name, key := range map[string]crypto.Signer{
		"2048 are the least":  must(rsa.GenerateKey(rand.Reader, 1024)),
		"P-256, P-384":        must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)),
		"RSA, EC and Ed25519": foreign{},
	} {
		if _, err := signingkey.AlgorithmFor(key, ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not say %q", err, name)
		}
	}
}

type foreign struct{ crypto.Signer }
