// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestFoldQuery(t *testing.T) {
	for name, want := range map[string]string{
		"":                "",
		"api_key":         "api_key",
		"api-key":         "api-key",
		"API_Key":         "api_key",
		"api%5fkey":       "api_key",
		"api%5Fkey":       "api_key",
		"%61%50%69_key":   "api_key",
		"api_key[]":       "api_key",
		"api_key[0]":      "api_key",
		"api_key[a][b]":   "api_key",
		"api_key%5b%5d":   "api_key",
		"api_key[":        "api_key",
		"api_key%00":      "api_key",
		"api_key%00x":     "api_key",
		"+api_key":        "api_key",
		"%20+api_key":     "api_key",
		"api+key":         "api key",
		"api%2bkey":       "api+key",
		"api%255fkey":     "api%5fkey", // one decoding, as all servers do
		"api%5":           "api%5",
		"api%zzkey":       "api%zzkey",
		"%":               "%",
		"[]":              "",
		"%00":             "",
		"\u212aey":        "key", // the Kelvin sign, in lower case a k
		"%e2%84%aaey":     "key",
		"api_key ":        "api_key ",
		"x-api_key.name!": "x-api_key.name!",
	} {
		if got := foldQuery(name); got != want {
			t.Errorf("foldQuery(%q) = %q, want %q", name, got, want)
		}
	}
}

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
		if got := removeQuery(tt.raw, "key"); got != tt.want {
			t.Errorf("removeQuery(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

func TestFilterQuery(t *testing.T) {
	odd := func(name string) bool { return len(name)%2 == 1 }
	for _, tt := range []struct{ raw, want string }{
		{"", ""},
		{"aa&b&cc&d;ee", "aa&cc&ee"},
		{"aa;b;cc;d&ee", "aa;cc&ee"},
		{"a&b;c", ""},
		{"a;bb", "bb"},
		{"bb;a", "bb"},
		{";;a", ";"},
		{"a=&BB=1&c", "BB=1"},
	} {
		if got := filterQuery(tt.raw, odd); got != tt.want {
			t.Errorf("filterQuery(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
	for _, raw := range []string{"", "&", "a=1&b;c&&=", "%&+"} {
		if got := filterQuery(raw, func(string) bool { return false }); got != raw {
			t.Errorf("dropping nothing of %q gives %q", raw, got)
		}
	}
}

func TestHasQuery(t *testing.T) {
	for raw, want := range map[string]bool{
		"": false, "key": true, "a&KEY[]=1": true, "a;%6bey": true, "a=key": false, "keys": false, "a&&key": true,
	} {
		if got := hasQuery(raw, "key"); got != want {
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
		got := escapeQuery(s)
		if got != want {
			t.Errorf("escapeQuery(%q) = %q, want %q", s, got, want)
		}
		if back, err := url.QueryUnescape(got); err != nil || back != s {
			t.Errorf("escapeQuery(%q): it is read as %q, %v", s, back, err)
		}
	}
}

func TestAppendQuery(t *testing.T) {
	for _, tt := range []struct{ raw, parameter, want string }{
		{"", "a=1", "a=1"}, {"b", "a=1", "b&a=1"}, {"b&", "a=1", "b&&a=1"},
	} {
		if got := appendQuery(tt.raw, tt.parameter); got != tt.want {
			t.Errorf("appendQuery(%q, %q) = %q", tt.raw, tt.parameter, got)
		}
	}
}

func TestUnescapeLenient(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "a": "a", "%": "%", "%4": "%4", "%41": "A", "%4g": "%4g", "%%41": "%A", "%41%": "A%", "%2541": "%41", "%aF%Af": "\xaf\xaf",
		"%00": "\x00", "a+b": "a b", "%2b": "+", "%-1": "%-1",
	} {
		if got := unescapeLenient(s, true); got != want {
			t.Errorf("unescapeLenient(%q) = %q, want %q", s, got, want)
		}
	}
	if got := unescapeLenient("a+%62", false); got != "a+b" {
		t.Errorf("+ became something in a path: %q", got)
	}
}

// After the filter no server finds a parameter of ours, and finds all others as they were.
func FuzzFilterQuery(f *testing.F) {
	for _, raw := range []string{
		"", "key=1", "a=1&key=2&b=3", "a=1;KEY=2;b=3", "%6bey[]=1&a", "+key&key%00x&%20key", "&&;;", "a=%zz&k%65y", "\u212aey=1", "key", "%",
	} {
		f.Add(raw, "key")
	}
	f.Add("api_key=1&API%5FKEY[0]=2&x=y", "api_key")
	f.Fuzz(func(t *testing.T, raw, name string) {
		name = foldQuery(escapeQuery(name))
		if name == "" {
			t.Skip("no name of a parameter")
		}
		got := removeQuery(raw, name)

		split := func(raw string) []string {
			return strings.FieldsFunc(raw, func(r rune) bool { return r == '&' || r == ';' })
		}
		ours := func(parameter string) bool {
			key, _, _ := strings.Cut(parameter, "=")
			if u, err := url.QueryUnescape(key); err == nil {
				key = u
			} else {
				key = unescapeLenient(key, true)
			}
			key, _, _ = strings.Cut(strings.ToLower(key), "[")
			key, _, _ = strings.Cut(key, "\x00")
			return strings.TrimLeft(key, " ") == name
		}
		want := slices.DeleteFunc(split(raw), ours)
		if !slices.Equal(split(got), want) {
			t.Errorf("%q without %q is %q, want the parameters %q", raw, name, got, want)
		}
		if !slices.ContainsFunc(split(raw), ours) && got != raw {
			t.Errorf("%q without %q is %q although there is none", raw, name, got)
		}
		// What Go reads, with its own rules.
		if values, err := url.ParseQuery(got); err == nil {
			for key := range values {
				if strings.EqualFold(key, name) && strings.ToLower(key) == name {
					t.Errorf("%q without %q still has %q", raw, name, key)
				}
			}
		}
		if again := removeQuery(got, name); again != got {
			t.Errorf("%q without %q is %q, and without it again %q", raw, name, got, again)
		}
	})
}
