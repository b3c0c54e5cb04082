// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// signing is what tokens are made with: the values of a JWT's options, as of the last reading of
// their files. It never changes, except for the token that is used again.
type signing struct {
	method jwt.SigningMethod
	key    any
	prefix string // the token's encoded header and a dot
	fixed  []byte // the claims that all tokens share, as JSON without braces
	claims []claim
	last   atomic.Pointer[token]
}

// newSigning resolves the values, and reads their files, as of now.
func (j *JWT) newSigning(t *texts) (*signing, error) {
	s := new(signing)
	if err := s.loadKey(t, j.Algorithm); err != nil {
		return nil, err
	}
	if err := s.encodeHeader(t); err != nil {
		return nil, err
	}
	return s, s.encodeClaims(t)
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

// encodeHeader makes the first part of all tokens. There is no "typ", as in Appsmith's tokens.
func (s *signing) encodeHeader(t *texts) error {
	header := struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
	}{Alg: s.method.Alg()}
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

func (s *signing) sign(now time.Time, lifetime time.Duration, repl *caddy.Replacer) ([]string, error) {
	payload := make([]byte, 0, len(s.fixed)+64+32*len(s.claims))
	payload = append(append(payload, '{'), s.fixed...)
	iat := now.Unix()
	payload = strconv.AppendInt(append(payload, `,"iat":`...), iat, 10)
	payload = strconv.AppendInt(append(payload, `,"exp":`...), iat+int64(lifetime/time.Second), 10)
	for _, c := range s.claims {
		text := c.template.Expand(repl)
		if text == "" {
			continue
		}
		encoded, err := encodeText(text)
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.name[:len(c.name)-1], err)
		}
		payload = append(append(append(payload, ','), c.name...), encoded...)
	}
	payload = append(payload, '}')

	signed := s.prefix + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := s.method.Sign(signed, s.key)
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", s.method.Alg(), err)
	}
	return []string{signed + "." + base64.RawURLEncoding.EncodeToString(sig)}, nil
}
