// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// draft is a Caddyfile in the making.
type draft struct {
	format string
	apis   []*api
	notes  []string // what could not be translated, and belongs to no API

	console bool   // somebody has to connect an account
	toSet   []item // what the operator has to set

	names, variables map[string]bool
}

// item is something that the operator has to set: a variable, or a file.
type item struct{ name, from string }

// line is a line of a Caddyfile, of words that are tokens, and the block behind it.
type line struct {
	words []string
	block []line
}

const (
	operatorHash = "OPERATOR_PASSWORD_HASH"
	gateway      = "GATEWAY"
)

func newDraft(format string) *draft {
	return &draft{
		format: format, names: map[string]bool{"connect": true},
		variables: map[string]bool{operatorHash: true, gateway: true},
	}
}

// note keeps what could not be translated.
func (d *draft) note(text string) { d.notes = append(d.notes, text) }

// unique returns a name that is not in a set, and puts it in.
func unique(set map[string]bool, name, separator string) string {
	free := name
	for i := 2; set[free]; i++ {
		free = name + separator + strconv.Itoa(i)
	}
	set[free] = true
	return free
}

// slug returns a name that a datasource may have.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	s := strings.Join(words, "-")
	s = strings.Trim(s[:min(len(s), 40)], "-")
	if s == "" {
		return "api"
	}
	return s
}

// constant returns a name that a variable may have. Shells want a letter first.
func constant(name string, length int) string {
	s := strings.ToUpper(strings.ReplaceAll(slug(name), "-", "_"))
	if s[0] <= '9' {
		s = "API_" + s
	}
	return strings.Trim(s[:min(len(s), length)], "_")
}

// plain matches what a Caddyfile reads as one word.
var plain = regexp.MustCompile(`^[A-Za-z0-9._~/:,+=@%&?;-]+$`)

// literal returns a text as a token of a Caddyfile, if it can stand there as it is. It cannot if
// Caddy would see a placeholder in it, or refuse it.
func literal(text string) (token string, ok bool) {
	switch {
	case text == "" || len(text) > 2000 || strings.TrimSpace(text) != text:
		return "", false
	case strings.ContainsAny(text, "{}<>\"`\\") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return "", false
	case value.CheckWritten("", text) != nil:
		return "", false
	case plain.MatchString(text):
		return text, true
	default:
		return `"` + text + `"`, true
	}
}

// fit returns the name that a file has for a thing, if it is fit to be shown. People name things
// by a URL, which may have a key in it.
func fit(name string) (string, bool) {
	name = strings.Join(strings.Fields(name), " ")
	unfit := strings.ContainsAny(name, "{}?=@<>`\\\"") || strings.Contains(name, "://") ||
		strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) })
	return name, name != "" && utf8.ValidString(name) && len(name) <= 60 && !unfit
}

// called returns what a thing is called in a comment.
func called(kind, name string) string {
	name, ok := fit(name)
	if !ok {
		return "a " + kind
	}
	return "the " + kind + ` "` + name + `"`
}

// shown returns the names of things that are fit to be shown, sorted.
func shown(names []string) string {
	var known []string
	for _, name := range names {
		if plain.MatchString(name) && len(name) <= 40 {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if len(known) > 8 {
		known = append(known[:8], "and others")
	}
	if len(known) == 0 {
		return "no name that can be shown"
	}
	return strings.Join(known, ", ")
}
