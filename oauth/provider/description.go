// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a provider says of an error (error_description, RFC 6749 §5.2) is often the only thing that
// names the cause: Entra's AADSTS codes, Okta's and Salesforce's reasons. Operators see it, in the
// log, in the console and in the status; callers of the API never do. It is a stranger's text, so
// it is short, has nothing in it that a terminal obeys, and holds no secret, which some providers
// repeat.
const (
	// maxDescription bounds a description, in bytes.
	maxDescription = 300

	// maxRead bounds what is looked at of one.
	maxRead = 4 << 10

	// gram is how many bytes of a secret in a row tell something of it, so that they are cut. A
	// shorter secret is cut where it stands as a word: "sec" is no secret within "second".
	gram = 8

	// cutMark stands for a secret.
	cutMark = "•••"
)

// describe returns a provider's text as it is shown.
func describe(text string, secrets ...string) string {
	text = without(printable(text[:min(len(text), maxRead)]), secrets)
	return strings.TrimSpace(cutRunes(text, maxDescription))
}

// printable returns text without characters that cannot be seen: control characters, and those
// that turn the direction of the text around. White space becomes one blank.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// cutRunes returns the beginning of text: at most limit bytes, and no part of a character.
func cutRunes(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// without returns text with a mark in the place of each piece of a secret, in whatever form a
// provider may repeat the secret: as it is, percent-encoded, in hexadecimal digits, or in base64
// among other things.
func without(text string, secrets []string) string {
	folded := foldASCII(text)
	at := make(map[string][]int, len(folded))
	for i := 0; i+gram <= len(folded); i++ {
		at[folded[i:i+gram]] = append(at[folded[i:i+gram]], i)
	}
	hidden := make([]bool, len(text))
	hide := func(from, to int) {
		for i := from; i < to; i++ {
			hidden[i] = true
		}
	}
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if form = foldASCII(form); len(form) < gram {
				eachWord(folded, form, hide)
				continue
			}
			for i := 0; i+gram <= len(form); i++ {
				for _, from := range at[form[i:i+gram]] {
					hide(from, from+gram)
				}
			}
		}
	}
	var sb strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			sb.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			sb.WriteString(cutMark)
		}
	}
	return strings.ToValidUTF8(sb.String(), "")
}

// forms returns the forms in which a secret may be repeated. The forms in base64 are without their
// ends, which depend on the neighbours.
func forms(secret string) []string {
	if secret == "" {
		return nil
	}
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	for pad := range 3 {
		padded := append(make([]byte, pad), secret...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if encoded := encoding.EncodeToString(padded); len(encoded) >= gram+8 {
				all = append(all, encoded[4:len(encoded)-4])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// eachWord calls found for each place at which word stands by itself.
func eachWord(text, word string, found func(from, to int)) {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return
		}
		begin, end := from+i, from+i+len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:begin])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if !isWord(before) && !isWord(after) {
			found(begin, end)
		}
		from = begin + 1
	}
}

func isWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// foldASCII returns text in lower case, byte for byte.
func foldASCII(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		if c >= 'A' && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// Describe returns what the provider has written of an error, such as in the query of a callback,
// as operators may see it: printable, at most 300 bytes, and without the secrets of the client and
// those that are given. Callers of the API must not see it.
func (cfg *Config) Describe(text string, more ...string) string {
	return describe(text, slices.Concat(cfg.secrets(), more)...)
}

// describe returns the description of the error in an answer.
func (a *attempt) describe(got *Answer) string {
	if got.description == "" {
		return ""
	}
	hidden := []string{got.AccessToken, got.RefreshToken, got.IDToken}
	for _, name := range sentSecrets {
		hidden = append(hidden, a.form.Get(name))
	}
	return a.cfg.Describe(got.description, hidden...)
}

// sentSecrets are the parameters of a request that no description may show.
var sentSecrets = []string{
	"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "token",
	"password", "assertion", "subject_token", "actor_token",
}

// secrets returns what no description may show: the client's secret, also as Basic has it, the
// assertions of files, and what the caller knows.
func (cfg *Config) secrets() []string {
	all := append(slices.Clone(cfg.Secrets), cfg.Password, cfg.RefreshToken)
	if cfg.ClientSecret != "" {
		all = append(all, cfg.ClientSecret, basic(cfg.ClientID, cfg.ClientSecret),
			basic(url.QueryEscape(cfg.ClientID), url.QueryEscape(cfg.ClientSecret)))
	}
	for _, assertion := range []*Assertion{cfg.Assertion, cfg.RefreshAssertion, cfg.Grant} {
		if assertion != nil && assertion.Text != "" {
			all = append(all, assertion.Text)
		}
	}
	if cfg.Tokens != nil {
		all = append(all, cfg.Tokens()...)
	}
	return all
}
