// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestRemoveCookies(t *testing.T) {
	names := wire.NewParamNames("sid", "my_id")
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"a=b", "a=b"},
		{"sid=1", ""},
		{"sid=1; a=b", "a=b"},
		{"a=b; sid=1;c=d", "a=b;c=d"},
		{"a=b|sid=1|c=d", "a=b|c=d"},
		{"SID=1; %73id=2; sid[]=3; sid[x]=4; [sid]=5; sid; \tsid =6; side=7; xsid=8", "side=7; xsid=8"},
		{"my.id=1; my id=2; my-id=3", "my-id=3"},
		{"a=\"x; sid=1\"; b=c", "a=\"x; b=c"},
		{"a=b,sid=1,c=d", "a=b,c=d"},
		{";; ;", ";; ;"},
		{";sid=1;", ""},
	} {
		if got := strings.Join(wire.RemoveCookies(strings.Split(test.in, "|"), names), "|"); got != test.want {
			t.Errorf("%q: %q, want %q", test.in, got, test.want)
		}
	}
}

// FuzzRemoveCookies: no server that splits at semicolons or commas finds a cookie of the name.
func FuzzRemoveCookies(f *testing.F) {
	for _, seed := range []string{"a=b; sid=1", "sid", "a=\"x; sid=1\"", "a=b,sid=1;;", "\x00sid=1", "sid[x]=1", "; ,sid ="} {
		f.Add(seed)
	}
	names := wire.NewParamNames("sid")
	f.Fuzz(func(t *testing.T, field string) {
		for _, left := range wire.RemoveCookies([]string{field}, names) {
			for part := range strings.FieldsFuncSeq(left, func(r rune) bool { return r == ';' || r == ',' }) {
				if name, _, _ := strings.Cut(part, "="); strings.EqualFold(strings.Trim(name, " \t\x00"), "sid") && strings.TrimSpace(name) != "\x00sid" {
					t.Errorf("%q: %q is left", field, left)
				}
			}
		}
	})
}
