// SPDX-License-Identifier: Apache-2.0

package option

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestEmpty reads the lines of a Caddyfile again, which Caddy has replaced variables in.
func TestEmpty(t *testing.T) {
	t.Setenv("OPTION_SET", "a")
	t.Setenv("OPTION_EMPTY", "")
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := "one {$OPTION_SET}\ntwo {$OPTION_UNSET} {$OPTION_EMPTY:b}\nthree {$OPTION_OTHER:c} {$sk-live-7731}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line int
		text string
		want []string
	}{
		{1, "a", nil},
		{2, "two", []string{"{$OPTION_UNSET}", "{$OPTION_EMPTY}"}}, // an empty variable has no default
		{3, "c", []string{"{$…}"}},                                 // what may be a secret is not shown
		{2, "moved", nil},
		{9, "two", nil},
	} {
		tokens := []caddyfile.Token{{File: file, Line: tt.line, Text: tt.text}}
		if got := Empty(tokens); !slices.Equal(got, tt.want) {
			t.Errorf("line %d, %s: %q, want %q", tt.line, tt.text, got, tt.want)
		}
	}
	if got := Empty([]caddyfile.Token{{File: file + ".gone", Line: 1, Text: "one"}}); got != nil {
		t.Errorf("of a file that is gone: %q", got)
	}
}

func TestWithEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("one {$OPTION_UNSET}\ntwo {$OPTION_OTHER}\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("a value is missing")
	one, two, three := caddyfile.Token{File: file, Line: 1, Text: "one"}, caddyfile.Token{File: file, Line: 2, Text: "two"}, caddyfile.Token{File: file, Line: 3, Text: "three"}
	for _, tt := range []struct {
		tokens []caddyfile.Token
		want   string
	}{
		{[]caddyfile.Token{three}, "a value is missing"},
		{[]caddyfile.Token{one, three}, "a value is missing; {$OPTION_UNSET} is empty: not set, or empty, for the process that reads the Caddyfile"},
		{[]caddyfile.Token{one, two}, "a value is missing; {$OPTION_UNSET}, {$OPTION_OTHER} are empty: not set, or empty, for the process that reads the Caddyfile"},
	} {
		if err := WithEmpty(tt.tokens, cause); err.Error() != tt.want || !errors.Is(err, cause) {
			t.Errorf("got %q, want %q", err, tt.want)
		}
	}
	if err := WithEmpty([]caddyfile.Token{one}, nil); err != nil {
		t.Errorf("without an error: %v", err)
	}
}
