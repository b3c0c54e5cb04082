// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync"
	"testing"
)

// SigningKeys has a private key for each algorithm of JSON Web Signatures that takes one.
// Algorithms of RSA share theirs, which takes long to make.
var SigningKeys = sync.OnceValue(func() map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	keys := map[string]crypto.Signer{
		"ES256": made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ES384": made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": made(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": made(ed, err),
	}
	key := made(rsa.GenerateKey(rand.Reader, 2048))
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[alg] = key
	}
	return keys
})

func made[K any](key K, err error) K {
	if err != nil {
		panic(err) // the system has no random numbers
	}
	return key
}

// ECKey returns a new key of the curve P-256, and its PEM.
func ECKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, KeyPEM(t, key)
}

// KeyPEM returns a private key in PKCS#8.
func KeyPEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}
