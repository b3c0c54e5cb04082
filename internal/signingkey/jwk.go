// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// IsJWK reports whether a text is a JSON object, as a JSON Web Key is. A placeholder is none.
func IsJWK(text string) bool {
	inside, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "{")
	return ok && strings.HasPrefix(strings.TrimSpace(inside), `"`)
}

var errJWK = errors.New("the JSON Web Key cannot be read; it must be the whole private key, with kty and d, " +
	"as the provider or the program that made it has written it")

// parseJWK reads a private key of the kinds RSA, EC and OKP (RFC 7518 §6, RFC 8037 §2).
func parseJWK(text string) (*Key, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	var kind struct {
		Kty  string          `json:"kty"`
		Keys json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &kind); err != nil {
		return nil, errors.New("the JSON Web Key is no JSON; copy it again")
	}
	switch {
	case kind.Kty == "" && kind.Keys != nil:
		return nil, errors.New("it is a set of JSON Web Keys; write one of its keys alone, the object with kty and d")
	case kind.Kty == "oct":
		return nil, errors.New("the JSON Web Key is a shared secret; it must be a private key (kty RSA, EC or OKP)")
	}
	var jwk jose.JSONWebKey
	// An error of go-jose may quote what it has read.
	if err := jwk.UnmarshalJSON([]byte(text)); err != nil {
		return nil, errJWK
	}
	if jwk.IsPublic() {
		return nil, errors.New("the JSON Web Key is a public key; the private one has d, too")
	}
	signer, ok := jwk.Key.(crypto.Signer)
	if !ok || !isWhole(signer) {
		return nil, errJWK
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return nil, errors.New("the JSON Web Key is not for signatures (its use is not sig); take the one with \"use\":\"sig\"")
	}
	return &Key{Signer: signer, ID: jwk.KeyID, Algorithm: jwk.Algorithm}, nil
}

// isWhole reports whether the public part of a key is that of its private part. go-jose looks at
// that for RSA and Ed25519.
func isWhole(key crypto.Signer) bool {
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return true
	}
	if k.D.BitLen() > k.Params().BitSize { //nolint:staticcheck // go-jose has set it
		return false
	}
	scalar := k.D.FillBytes(make([]byte, (k.Params().BitSize+7)/8)) //nolint:staticcheck // as above
	derived, err := ecdsa.ParseRawPrivateKey(k.Curve, scalar)
	return err == nil && derived.PublicKey.Equal(&k.PublicKey)
}
