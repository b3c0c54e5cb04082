// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// signing is what tokens are made with: the values of a JWT's options, as of the last reading of
// their files. It never changes, except for the token that is used again.
type signing struct {
	bare   bool // see TokenOptions
	hex    bool // the secret is written in hexadecimal digits
	method jwt.SigningMethod
	key    any
	keyID  string // of a JSON Web Key
	prefix string // the token's encoded header and a dot
	fixed  []byte // the claims that all tokens share, as JSON without braces
	claims []claim
	last   atomic.Pointer[token]

	// What of a token is the same each time, see prepare.
	begin    []byte // the encoded header, and the encoded claims up to rest
	rest     []byte // the last claims that all tokens share, not encoded
	encoders sync.Pool
}

// newSigning resolves the values, and reads their files, as of now.
func (j *JWT) newSigning(t *texts) (*signing, error) {
	s := &signing{bare: j.bare, hex: j.hex}
	if err := s.loadKey(t, j.Algorithm); err != nil {
		return nil, err
	}
	if err := s.encodeHeader(t); err != nil {
		return nil, err
	}
	if err := s.encodeClaims(t); err != nil {
		return nil, err
	}
	s.prepare()
	return s, nil
}

// equal reports whether both make the same tokens. The algorithm is in the prefix.
func (s *signing) equal(other *signing) bool {
	return s.prefix == other.prefix && bytes.Equal(s.fixed, other.fixed) && reflect.DeepEqual(s.claims, other.claims) &&
		sameKey(s.key, other.key)
}

func sameKey(a, b any) bool {
	if secret, ok := a.([]byte); ok {
		other, ok := b.([]byte)
		return ok && bytes.Equal(secret, other)
	}
	key, ok := a.(interface{ Equal(crypto.PrivateKey) bool }) // all private keys in crypto have it
	return ok && key.Equal(b)
}

// encodeHeader makes the first part of all tokens. Appsmith's tokens have no "typ".
func (s *signing) encodeHeader(t *texts) error {
	header := struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ,omitempty"`
	}{Alg: s.method.Alg(), Kid: s.keyID}
	if s.bare {
		header.Typ = "JWT"
	}
	if t.keyID != "" {
		kid, err := value.ResolveLine("signature: key_id", t.keyID)
		if err != nil {
			return err
		}
		if !utf8.ValidString(kid) {
			return fmt.Errorf("signature: key_id: %w", ErrNotUTF8)
		}
		header.Kid = kid
	}
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("encoding the signature's header: %w", err)
	}
	s.prefix = base64.RawURLEncoding.EncodeToString(text) + "."
	return nil
}
