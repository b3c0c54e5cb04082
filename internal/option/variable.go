// SPDX-License-Identifier: Apache-2.0

package option

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// variable matches what Caddy replaces in the text of a Caddyfile before it reads the text.
var variable = regexp.MustCompile(`\{\$([^{}:\s]+)(?::([^{}]*))?\}`)

// named matches the names of variables that errors may show. Anything else could be a secret in
// the wrong place.
var named = regexp.MustCompile(`^[A-Za-z][A-Za-z]*[0-9]{0,3}(_[A-Za-z]+[0-9]{0,3}|_[0-9]{1,3})*$`)

// WithEmpty adds to an error about tokens the {$NAME} on their lines that were replaced by
// nothing.
func WithEmpty(tokens []caddyfile.Token, err error) error {
	if err == nil {
		return nil
	}
	if empty := Empty(tokens); len(empty) > 0 {
		return fmt.Errorf("%w; %s: not set, or empty, for the process that reads the Caddyfile", err, strings.Join(empty, ", ")+isOrAre(len(empty))+"empty")
	}
	return err
}

func isOrAre(n int) string {
	if n == 1 {
		return " is "
	}
	return " are "
}

// Empty returns the {$NAME} on the lines of tokens that were replaced by nothing. The tokens do
// not show them, so Empty reads the lines again. It returns none if the Caddyfile is no file, or
// has changed.
func Empty(tokens []caddyfile.Token) []string {
	var found []string
	files := make(map[string][]string)
	for _, token := range tokens {
		lines, ok := files[token.File]
		if !ok {
			content, err := os.ReadFile(token.File)
			if err == nil && len(content) < 1<<20 {
				lines = strings.Split(string(content), "\n")
			}
			files[token.File] = lines
		}
		if token.Line < 1 || token.Line > len(lines) {
			continue
		}
		line := lines[token.Line-1]
		first, _, _ := strings.Cut(token.Text, "\n")
		if !strings.Contains(expand(line), first) {
			return nil // it is another file, or lines have moved
		}
		for _, m := range variable.FindAllStringSubmatch(line, -1) {
			shown := "{$" + m[1] + "}"
			if !named.MatchString(m[1]) {
				shown = "{$…}"
			}
			if expand(m[0]) == "" && !slices.Contains(found, shown) {
				found = append(found, shown)
			}
		}
	}
	return found
}

// expand replaces variables as Caddy does: an unset one by its default, and a set one by its
// value, even if that is empty.
func expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		m := variable.FindStringSubmatch(found)
		if val, ok := os.LookupEnv(m[1]); ok {
			return val
		}
		return m[2]
	})
}
