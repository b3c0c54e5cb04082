// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// signingKeys are the server's own keys, with which it signs id tokens: one.
type signingKeys struct{ key *ecdsa.PrivateKey }

func newSigningKeys() signingKeys {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return signingKeys{key}
}

// SignatureAlgorithms implements op.AuthStorage.
func (signingKeys) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// SigningKey implements op.AuthStorage.
func (s signingKeys) SigningKey(context.Context) (op.SigningKey, error) {
	return signingKey(s), nil
}

// KeySet implements op.AuthStorage.
func (s signingKeys) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey(s)}, nil
}

// signingKey is what id tokens are signed with.
type signingKey struct{ key *ecdsa.PrivateKey }

func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                  { return k.key }
func (signingKey) ID() string                                  { return "1" }

// publicKey is its public half.
type publicKey struct{ key *ecdsa.PrivateKey }

func (publicKey) ID() string                         { return "1" }
func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                         { return &k.key.PublicKey }
