// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"reflect"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   []Challenge
	}{
		{
			[]string{`Bearer resource_metadata="https://api.example/.well-known/oauth-protected-resource", scope="a b"`},
			[]Challenge{{"bearer", map[string]string{"resource_metadata": "https://api.example/.well-known/oauth-protected-resource", "scope": "a b"}}},
		},
		{ // several in one value, the wanted one in the middle, a comma and a quote in a quoted string
			[]string{`Basic realm="a, \"b\" Bearer scope=x", bearer Scope = one ,error=invalid_token, Negotiate YWJj==`},
			[]Challenge{
				{"basic", map[string]string{"realm": `a, "b" Bearer scope=x`}},
				{"bearer", map[string]string{"scope": "one", "error": "invalid_token"}},
				{"negotiate", map[string]string{}},
			},
		},
		{ // in several values; a parameter does not cross the border
			[]string{`Digest realm="x"`, `scope="lost", Bearer`, `DPoP algs="ES256 RS256"`},
			[]Challenge{{"digest", map[string]string{"realm": "x"}}, {"bearer", map[string]string{}}, {"dpop", map[string]string{"algs": "ES256 RS256"}}},
		},
		{ // the first of two counts, and what is broken is left out
			[]string{`Bearer scope="a", scope="b", realm="open, error="x"`, `Bearer scope="unfinished`},
			[]Challenge{{"bearer", map[string]string{"scope": "a"}}, {"bearer", map[string]string{}}},
		},
		{nil, nil},
		{[]string{"", " , ", `"quoted"`}, nil},
	} {
		if got := ParseChallenges(test.values); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q:\n got %q\nwant %q", test.values, got, test.want)
		}
	}
}

// FuzzParseChallenges: whatever an API sends, each challenge has a scheme and named parameters.
func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer resource_metadata="https://x/", scope="a b"`, `Basic realm="x"`)
	f.Add(`Bearer scope="a\`, `Negotiate YWJj==, bearer a = "b"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, c := range ParseChallenges([]string{a, b}) {
			if c.Scheme == "" {
				t.Errorf("a challenge of %q, %q has no scheme", a, b)
			}
			for name := range c.Params {
				if name == "" {
					t.Errorf("a parameter of %q, %q has no name", a, b)
				}
			}
		}
	})
}
