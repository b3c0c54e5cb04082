// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"strings"
	"testing"
)

func TestSecretsAllocations(t *testing.T) {
	place := Placement{Header: "Authorization"}
	cleaner := NewResponseCleaner(place, NewCleaner(place, nil, nil, nil, nil), []string{"X-Appsmith-Signature"}, []string{"value-of-an-edit"}, nil)
	sent := &Sent{Secrets: Secrets{NewCredential(place, "Bearer token-of-the-gateway").Secrets(), secretsOf("demo"), {"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVk"}}}
	h := http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`W/"0123456789abcdef0123456789abcdef"`}, "X-Total": {"42"},
		"X-Next": {"https://api.example.com/items?cursor=eyJhbGciOiJIUzI1NiJ9.e30.b3RoZXI%3D&next=%252Fa%2520b+c"}, "X-Page": {"democracy%20demo_"},
	}
	if n := testing.AllocsPerRun(100, func() {
		cleaner.Header(h)
		cleaner.Secrets(h, sent)
	}); n != 0 {
		t.Errorf("%v allocations for an answer that shows nothing", n)
	}
	if len(h) != 5 {
		t.Errorf("of the fields %v are left", h)
	}
}

func TestCredentialSecrets(t *testing.T) {
	for _, test := range []struct {
		place      Placement
		val        string
		given      []string
		wantSecret string
	}{
		{Placement{Header: "Authorization"}, "Bearer a-token", nil, "a-token"},
		{Placement{Header: "Authorization"}, "a-token", nil, "a-token"},
		{Placement{Header: "X-Key"}, "one two", nil, "one two"},
		{Placement{Header: "X-Key"}, "Token a-token", []string{"a-token"}, "a-token"},
		{Placement{Query: "key"}, "a&b%c", nil, "a&b%c"},
		{Placement{}, "", nil, ""},
	} {
		if got := strings.Join(NewCredential(test.place, test.val, test.given...).Secrets(), "|"); got != test.wantSecret {
			t.Errorf("%v %q: %q is not shown, want %q", test.place, test.val, got, test.wantSecret)
		}
	}
}

// FuzzShows compares what is found in place with what is found in the decoded text.
func FuzzShows(f *testing.F) {
	for _, text := range []string{"", "a token-7731 b", "%74oken-7731", "%2574oken%252D7731", "token%2", "%%37%34oken-7731", "%25%37%34oken-7731", "to%6ben-773%31%"} {
		f.Add(text, "token-7731")
	}
	f.Add("a+b%20c", "a b c-d e")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < shortestInside || strings.ContainsAny(secret, "+ ") {
			return
		}
		want := false
		for decoded, i := text, 0; i <= 3; i++ {
			want = want || strings.Contains(decoded, secret)
			decoded = unescapeLenient(decoded, false)
		}
		if got := shows(text, secret); got != want {
			t.Errorf("%q shows %q: %t", text, secret, got)
		}
	})
}

// TestShowsInTime gives the search what a naive one takes minutes for: a quarter of a megabyte
// that is like the secret everywhere.
func TestShowsInTime(t *testing.T) {
	for _, unit := range []string{"%", "a%", "%25", "%61", "aaaaaaaaaaaaaaa%2"} {
		text := strings.Repeat(unit, 1<<18/len(unit))
		for _, letter := range []string{"a", "%"} {
			if shows(text, strings.Repeat(letter, 2000)+"x"+strings.Repeat(letter, 2000)) {
				t.Errorf("%q shows what is not in it", unit)
			}
		}
	}
}
