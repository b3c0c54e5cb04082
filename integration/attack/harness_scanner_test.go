// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// scanner looks for secrets in any form that they could have been turned into.
type scanner struct {
	forms map[string]string // the form, and what it is
}

// newScanner returns a scanner for secrets. They have letters and digits only, so that the text
// around them does not matter.
func newScanner(secrets map[string]string) *scanner {
	s := &scanner{forms: make(map[string]string)}
	for name, secret := range secrets {
		for i, text := range []string{secret, reversed(secret)} {
			form := func(what, text string) { s.forms[text] = name + ", " + []string{"", "reversed, "}[i] + what }
			form("plain", text)
			form("lower case", strings.ToLower(text))
			form("upper case", strings.ToUpper(text))
			form("hex", hex.EncodeToString([]byte(text)))
			form("upper hex", strings.ToUpper(hex.EncodeToString([]byte(text))))
			form("URL-encoded", allEscaped(text))
			form("URL-encoded in upper case", strings.ToUpper(allEscaped(text)))
			form("twice URL-encoded", strings.ReplaceAll(allEscaped(text), "%", "%25"))
			form("as bytes", strings.Trim(strings.ReplaceAll(fmt.Sprint(octets(text)), " ", ","), "[]"))
			form("as bytes with blanks", strings.Trim(fmt.Sprint(octets(text)), "[]"))
			form("as hex bytes", strings.Trim(strings.ReplaceAll(fmt.Sprintf("%#v", []byte(text)), "[]byte", ""), "{}"))
			for shift := range 3 {
				for what, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
					form(what, aligned(enc, text, shift))
				}
			}
		}
	}
	return s
}

// aligned returns the characters that stand for text alone in the base64 of a longer text, if
// shift bytes more than a multiple of three precede it.
func aligned(enc *base64.Encoding, text string, shift int) string {
	encoded := enc.EncodeToString(append(make([]byte, shift), text...))
	first := (shift*8 + 5) / 6
	last := (shift + len(text)) * 8 / 6
	return encoded[first:last]
}

// octets returns a text as a program shows it that prints bytes as numbers.
func octets(s string) (numbers []int) {
	for i := range len(s) {
		numbers = append(numbers, int(s[i]))
	}
	return numbers
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// find returns what it has found.
func (s *scanner) find(text string) (found []string) {
	for form, what := range s.forms {
		if strings.Contains(text, form) {
			found = append(found, what)
		}
	}
	return found
}

// want fails the test if a secret is in text.
func (s *scanner) wantNone(t *testing.T, where, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: there is nothing to look at", where)
	}
	for _, what := range s.find(text) {
		t.Errorf("%s: found %s", where, what)
	}
}
