// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// FuzzShows compares what is found in place with what is found in the decoded text.
func FuzzShows(f *testing.F) {
	for _, text := range []string{"", "a token-7731 b", "%74oken-7731", "%2574oken%252D7731", "token%2", "%%37%34oken-7731", "%25%37%34oken-7731", "to%6ben-773%31%"} {
		f.Add(text, "token-7731")
	}
	f.Add("a+b%20c", "a b c-d e")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < ShortestInside || strings.ContainsAny(secret, "+ ") {
			return
		}
		want := false
		for decoded, i := text, 0; i <= 3; i++ {
			want = want || strings.Contains(decoded, secret)
			decoded = wire.Unescape(decoded, false)
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
