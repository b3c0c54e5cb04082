// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestRemoveQuery(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{"", ""},
		{"key=1", ""},
		{"key", ""},
		{"key=", ""},
		{"key=1&key=2", ""},
		{"a=1", "a=1"},
		{"a=1&key=1", "a=1"},
		{"key=1&a=1", "a=1"},
		{"a=1&key=1&b=2", "a=1&b=2"},
		{"a=1&key=1&key=2&b=2&key=3", "a=1&b=2"},
		{"keys=1&ke=2&xkey=3", "keys=1&ke=2&xkey=3"},
		{"a=key=1&key=2", "a=key=1"},
		// The spellings.
		{"KEY=1&a=1&Key=2", "a=1"},
		{"%6bey=1&a=1&k%45y=1", "a=1"},
		{"key[]=1&a=1&key[0]=2&key[x][y]=3&key%5B%5D=4", "a=1"},
		{"key%00=1&a=1&key%00b=2", "a=1"},
		{"+key=1&a=1&%20key=2", "a=1"},
		// WHATWG and Go split at & only; older servers at ; too.
		{"a=1;key=1", "a=1"},
		{"key=1;a=1", "a=1"},
		{"a=1;key=1;b=2", "a=1;b=2"},
		{"a=1;key=1&b=2", "a=1&b=2"},
		{"a=1&key=1;b=2", "a=1&b=2"},
		{"a=1;b=2&key=1", "a=1;b=2"},
		{"a=1;b=2&key=1&c=3;d=4", "a=1;b=2&c=3;d=4"},
		// What is not ours keeps its bytes.
		{"a=%zz&key=1&b=%&c=+%20", "a=%zz&b=%&c=+%20"},
		{"A=1&key=1&a=1&%41=2&a[]=3", "A=1&a=1&%41=2&a[]=3"},
		{"b=1&key=1&a=2", "b=1&a=2"},
		{"a&key&b", "a&b"},
		{"=1&key=1&=", "=1&="},
		{"&&key=1", "&"},
		{"key=1&&", "&"},
		{"a&&key=1&&b", "a&&&b"},
		{"&key=1&", "&"},
		{"a=\xff|\"&key=1&ü", "a=\xff|\"&ü"},
		{"a=1?b&key=1#c", "a=1?b"},
	} {
		if got := RemoveQuery(tt.raw, NewParamNames("key")); got != tt.want {
			t.Errorf("removeQuery(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestHasQuery(t *testing.T) {
	for raw, want := range map[string]bool{
		"": false, "key": true, "a&KEY[]=1": true, "a;%6bey": true, "a=key": false, "keys": false, "a&&key": true,
	} {
		if got := HasQuery(raw, NewParamNames("key")); got != want {
			t.Errorf("hasQuery(%q) = %t", raw, got)
		}
	}
}

func TestEscapeQuery(t *testing.T) {
	for s, want := range map[string]string{
		"":          "",
		"aZ0-_.~":   "aZ0-_.~",
		"a b":       "a%20b", // not all servers read + as a blank
		"a+b":       "a%2Bb",
		"a&b=c;d#e": "a%26b%3Dc%3Bd%23e",
		"a/b?c%d":   "a%2Fb%3Fc%25d",
		"\r\n\x00":  "%0D%0A%00",
		"ü\xff":     "%C3%BC%FF",
		"[]":        "%5B%5D",
	} {
		got := EscapeQuery(s)
		if got != want {
			t.Errorf("escapeQuery(%q) = %q, want %q", s, got, want)
		}
		if back, err := url.QueryUnescape(got); err != nil || back != s {
			t.Errorf("escapeQuery(%q): it is read as %q, %v", s, back, err)
		}
	}
}

func TestJoinQuery(t *testing.T) {
	for _, tt := range []struct{ first, second, want string }{
		{"", "a=1", "a=1"}, {"b", "a=1", "b&a=1"}, {"b&", "a=1", "b&&a=1"}, {"b", "", "b"}, {"", "", ""},
	} {
		if got := JoinQuery(tt.first, tt.second); got != tt.want {
			t.Errorf("joinQuery(%q, %q) = %q", tt.first, tt.second, got)
		}
	}
}

func TestCountQuery(t *testing.T) {
	for raw, want := range map[string]int{"": 0, "a": 1, "a=1&b": 2, "a;b&c": 3, "&": 2, "a=&&b": 3} {
		if got := CountQuery(raw); got != want {
			t.Errorf("CountQuery(%q) = %d, want %d", raw, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "a": "a", "%": "%", "%4": "%4", "%41": "A", "%4g": "%4g", "%%41": "%A", "%41%": "A%", "%2541": "%41", "%aF%Af": "\xaf\xaf",
		"%00": "\x00", "a+b": "a b", "%2b": "+", "%-1": "%-1",
	} {
		if got := Unescape(s, true); got != want {
			t.Errorf("Unescape(%q) = %q, want %q", s, got, want)
		}
	}
	if got := Unescape("a+%62", false); got != "a+b" {
		t.Errorf("+ became something in a path: %q", got)
	}
}

// After the removal no server finds a parameter of ours, and finds all others as they were.
func FuzzRemoveQuery(f *testing.F) {
	for _, raw := range []string{
		"", "key=1", "a=1&key=2&b=3", "a=1;KEY=2;b=3", "%6bey[]=1&a", "+key&key%00x&%20key", "&&;;", "a=%zz&k%65y", "\u212aey=1", "key", "%",
		"[key]=1&k.ey&key[x", "?key=1&key%20=2",
	} {
		f.Add(raw, "key")
	}
	f.Add("api_key=1&API%5FKEY[0]=2&x=y&api.key&api[key&api+key", "api_key")
	f.Add("filter[tenant]=1&filter[status]=2&filter=3&[filter][tenant]=4&filter.tenant", "filter[tenant]")
	f.Fuzz(func(t *testing.T, raw, key string) {
		names := NewParamNames(key)
		if names[0].empty() {
			t.Skip("no name of a parameter")
		}
		got := RemoveQuery(raw, names)

		split := func(raw string) []string {
			return strings.FieldsFunc(raw, func(r rune) bool { return r == '&' || r == ';' })
		}
		want := slices.DeleteFunc(split(raw), func(parameter string) bool {
			name, _, _ := strings.Cut(parameter, "=")
			return newParamName(name).collides(names[0])
		})
		if !slices.Equal(split(got), want) {
			t.Errorf("%q without %q is %q, want the parameters %q", raw, key, got, want)
		}
		if len(want) == len(split(raw)) && got != raw {
			t.Errorf("%q without %q is %q although there is none", raw, key, got)
		}
		// What Go reads, with its own rules.
		values, _ := url.ParseQuery(got)
		for name := range values {
			if strings.EqualFold(name, key) {
				t.Errorf("%q without %q still has %q", raw, key, name)
			}
		}
		if again := RemoveQuery(got, names); again != got {
			t.Errorf("%q without %q is %q, and without it again %q", raw, key, got, again)
		}
	})
}
