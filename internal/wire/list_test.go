// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestSplitList(t *testing.T) {
	for list, want := range map[string]string{
		"":                    "",
		",, ,":                "",
		"a":                   "a",
		" a , b,c ":           "a|b|c",
		`a="b, c",d`:          `a="b, c"|d`,
		`a="b\", c", d`:       `a="b\", c"|d`,
		`a="b, c`:             `a="b, c`,
		`a\, b`:               `a\|b`,
		`"a" "b,c" , "d\\",e`: `"a" "b,c"|"d\\"|e`,
	} {
		var texts []string
		for _, e := range wire.SplitList(list) {
			texts = append(texts, e.Text)
			if !strings.HasPrefix(strings.TrimLeft(list[e.Start:], " "), e.Text) {
				t.Errorf("%q: %q is not at %d", list, e.Text, e.Start)
			}
		}
		if got := strings.Join(texts, "|"); got != want {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
}
