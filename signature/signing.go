// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// signing is what tokens are made with: a JWT's values, as their files were when they were read. But for the token that is
// used again it never changes.
type signing struct {
	method jwt.SigningMethod
	key    any
	prefix string // the token's encoded header and a dot
	fixed  []byte // the claims that are alike for all tokens, as JSON without braces, behind a comma
	claims []claim
	last   atomic.Pointer[token]
}

// claim is a claim whose value depends on the request.
type claim struct {
	name     []byte // as JSON, with the colon
	template *value.Template
}

// newSigning resolves the values as of now.
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

// equal reports whether both make the same tokens. The encoded header names the algorithm.
func (s *signing) equal(other *signing) bool {
	return s.prefix == other.prefix && bytes.Equal(s.fixed, other.fixed) && reflect.DeepEqual(s.claims, other.claims) &&
		sameKey(s.key, other.key)
}

func sameKey(a, b any) bool {
	if secret, ok := a.([]byte); ok {
		other, ok := b.([]byte)
		return ok && bytes.Equal(secret, other)
	}
	key, ok := a.(interface{ Equal(crypto.PrivateKey) bool }) // all of crypto's have it
	return ok && key.Equal(b)
}

// encodeHeader makes the first part of all tokens. Appsmith's library writes no "typ".
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

func (s *signing) encodeClaims(t *texts) error {
	issuer := defaultIssuer
	if t.issuer != "" {
		var err error
		if issuer, err = value.ResolveLine("signature: issuer", t.issuer); err != nil {
			return err
		}
	}
	if err := s.fix("iss", issuer); err != nil {
		return err
	}
	if t.audience != "" {
		audience, err := value.ResolveLine("signature: audience", t.audience)
		if err != nil {
			return err
		}
		if err := s.fix("aud", audience); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.claims)) {
		tmpl, err := value.Parse("signature: "+claimLabel(name), t.claims[name])
		if err != nil {
			return err
		}
		if text, ok := tmpl.Static(); ok {
			if err := s.fix(name, text); err != nil {
				return err
			}
			continue
		}
		encoded, err := encodeText(name)
		if err != nil {
			return fmt.Errorf("signature: the name of %s: %w", claimLabel(name), err)
		}
		s.claims = append(s.claims, claim{append(encoded, ':'), tmpl})
	}
	return nil
}

// fix adds a claim that is alike for all tokens.
func (s *signing) fix(name, text string) error {
	key, err := encodeText(name)
	if err != nil {
		return fmt.Errorf("signature: the name of %s: %w", claimLabel(name), err)
	}
	encoded, err := encodeText(text)
	if err != nil {
		return fmt.Errorf("signature: %s: %w; save the file or the variable that it comes from as UTF-8", claimLabel(name), err)
	}
	if s.fixed != nil {
		s.fixed = append(s.fixed, ',')
	}
	s.fixed = append(append(append(s.fixed, key...), ':'), encoded...)
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
