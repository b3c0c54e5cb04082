// SPDX-License-Identifier: Apache-2.0

// Package secret finds secrets in texts of an API's answers: values that a request has carried, as
// they are or percent-encoded.
package secret

import (
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Lists are the values that a request has carried and that its answer must not show: those of its
// credential, of the credential that was refused before it, and its signature. They stay three
// lists so that no list has to be made for a request.
type Lists [3][]string

const (
	// shortestSecret is the length below which a value is not looked for: answers are full of 1
	// and ok.
	shortestSecret = 4

	// ShortestInside is the length below which a value counts only where it stands by itself,
	// between bytes that are no letter, no digit, no - and no _. A password such as demo is a
	// part of many words.
	ShortestInside = 8

	// comparedInPlace is how many bytes of a secret are compared without a copy.
	comparedInPlace = 16

	// ShortestGuess is the length below which a value that may be a secret or not is not taken for
	// one. The names of regions and stages are shorter.
	ShortestGuess = 15
)

// Of returns those of the values that are looked for in answers.
func Of(values ...string) []string {
	var secrets []string
	for _, val := range values {
		if len(val) >= shortestSecret {
			secrets = append(secrets, val)
		}
	}
	return secrets
}

// Guess returns those of the values that are taken for secrets, where nothing says whether they
// are. A UUID is the name of a tenant or an account.
func Guess(values []string) []string {
	var secrets []string
	for _, val := range values {
		if len(val) >= ShortestGuess && !isUUID(val) {
			secrets = append(secrets, val)
		}
	}
	return secrets
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !wire.IsHex(s[i]) {
			return false
		}
	}
	return true
}

// In reports whether text shows one of the secrets, as it is or percent-encoded up to three times.
func (s *Lists) In(text string) bool {
	for _, list := range s {
		if AnyIn(list, text) {
			return true
		}
	}
	return false
}

// AnyIn is Lists.In for a single list.
func AnyIn(secrets []string, text string) bool {
	for _, secret := range secrets {
		if len(secret) <= len(text) && shows(text, secret) {
			return true
		}
	}
	return false
}

// shows reports whether text shows a secret. It allocates nothing, because it runs for every field
// of every answer.
func shows(text, secret string) bool {
	if len(secret) >= ShortestInside {
		if strings.Contains(text, secret) {
			return true
		}
	} else if found, _ := find(text, secret, 0); found {
		return true
	}
	if strings.IndexByte(text, '%') < 0 && (strings.IndexByte(text, '+') < 0 || strings.IndexByte(secret, ' ') < 0) {
		return false
	}
	for decodings := 1; decodings <= 3; decodings++ {
		found, more := find(text, secret, decodings)
		if found || !more {
			return found
		}
	}
	return false
}

// find looks for secret in text after so many decodings. more says that a % is left then.
//
// find decodes in place, and compares only the end of a long secret, since JSON Web Tokens all
// begin alike. Where the end is found, the whole secret is looked for in a decoded copy: to
// compare all of it at each byte would take too long.
func find(text, secret string, decodings int) (found, more bool) {
	whole := len(secret) < ShortestInside
	end := secret[max(0, len(secret)-comparedInPlace):]
	inWord := false // whether the byte in front is a part of a word
	for i := 0; i < len(text); {
		c, next := decodedAt(text, i, decodings)
		more = more || c == '%'
		switch {
		case whole && !inWord && beginsWith(text, i, end, decodings, true):
			return true, more
		case !whole && beginsWith(text, i, end, decodings, false):
			return findInCopy(text, secret, decodings)
		}
		inWord, i = isWord(c), next
	}
	return false, more
}

func findInCopy(text, secret string, decodings int) (found, more bool) {
	for range decodings {
		text = wire.Unescape(text, false)
	}
	more = strings.Contains(text, "%")
	if strings.Contains(secret, " ") {
		text, secret = strings.ReplaceAll(text, "+", " "), strings.ReplaceAll(secret, "+", " ")
	}
	return strings.Contains(text, secret), more
}

// decodedAt returns the byte that stands at i in text after so many decodings, and where the next
// byte begins.
func decodedAt(text string, i, decodings int) (c byte, next int) {
	if decodings == 0 {
		return text[i], i + 1
	}
	c, next = decodedAt(text, i, decodings-1)
	if c != '%' || next >= len(text) {
		return c, next
	}
	high, after := decodedAt(text, next, decodings-1)
	if !wire.IsHex(high) || after >= len(text) {
		return c, next
	}
	low, end := decodedAt(text, after, decodings-1)
	if !wire.IsHex(low) {
		return c, next
	}
	return wire.Unhex(high)<<4 | wire.Unhex(low), end
}

// beginsWith reports whether secret stands at i in text after so many decodings. With whole it
// must be the end of a word too.
func beginsWith(text string, i int, secret string, decodings int, whole bool) bool {
	var c byte
	for k := range len(secret) {
		if i >= len(text) {
			return false
		}
		c, i = decodedAt(text, i, decodings)
		if c != secret[k] && (secret[k] != ' ' || c != '+' || decodings == 0) {
			return false
		}
	}
	if !whole || i >= len(text) {
		return true
	}
	c, _ = decodedAt(text, i, decodings)
	return !isWord(c)
}

func isWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
