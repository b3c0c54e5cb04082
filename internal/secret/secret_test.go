// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestOf(t *testing.T) {
	if got, want := Of("", "ok", "123", "demo", "token-7731"), []string{"demo", "token-7731"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGuess(t *testing.T) {
	values := []string{
		"eu-west-1", "fourteen-long.", "fifteen-is-long", "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
		"3f2504e0-4f89-11d3-9a0c-0305e82c330x", "3f2504e04f89-11d3-9a0c-0305e82c33011",
	}
	want := []string{"fifteen-is-long", "3f2504e0-4f89-11d3-9a0c-0305e82c330x", "3f2504e04f89-11d3-9a0c-0305e82c33011"}
	if got := Guess(values); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIn(t *testing.T) {
	lists := Lists{{"token-7731"}, {"demo"}, {"my secret key", "a-secret-of-more-than-sixteen-bytes"}}
	for _, text := range []string{
		"token-7731", "a=token-7731x", "%74oken%2d7731", "%2574oken-7731", "%252574oken-7731",
		// A short secret is a word by itself.
		"demo", "user=demo&a", "a%20demo%26", "%64emo", `{"demo":1}`,
		// In a query a blank is a plus.
		"my secret key", "my+secret+key", "my%20secret+key",
		"x-a-secret-of-more-than-sixteen-bytes", "a-secret-of-more-than-sixteen-byte%73",
	} {
		if !lists.In(text) {
			t.Errorf("%q shows a secret", text)
		}
	}
	for _, text := range []string{
		"", "token-773", "TOKEN-7731", "%25252574oken-7731", "democracy", "demo-1", "a_demo", "%61demo", "dem%6", "my-secret-key",
		"b-secret-of-more-than-sixteen-byte%73",
	} {
		if lists.In(text) {
			t.Errorf("%q shows no secret", text)
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
