// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// encodeText returns a text as JSON. A text that is not UTF-8 has no JSON (RFC 8259 §8.1):
// encoding/json would replace each invalid byte with U+FFFD, and so sign the names of several
// users as one name.
func encodeText(text string) ([]byte, error) {
	return appendText(nil, text)
}

// appendText appends to dst a text as JSON. Most texts need no escape, and encoding/json would
// allocate for them.
func appendText(dst []byte, text string) ([]byte, error) {
	if isPlain(text) {
		return append(append(append(dst, '"'), text...), '"'), nil
	}
	if !utf8.ValidString(text) {
		return nil, ErrNotUTF8
	}
	encoded, err := json.Marshal(text)
	if err != nil {
		return nil, fmt.Errorf("cannot be encoded: %w", err)
	}
	return append(dst, encoded...), nil
}

// isPlain reports whether encoding/json writes a text as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// claim is a claim whose value depends on the request.
type claim struct {
	name     []byte // as JSON, with the colon
	template *value.Template
}

func (s *signing) encodeClaims(t *texts) error {
	issuer := defaultIssuer
	if s.bare {
		issuer = ""
	}
	if t.issuer != "" {
		var err error
		if issuer, err = value.ResolveLine("signature: issuer", t.issuer); err != nil {
			return err
		}
	}
	if issuer != "" {
		if err := s.fix("iss", issuer); err != nil {
			return err
		}
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

// fix adds a claim that all tokens share.
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
