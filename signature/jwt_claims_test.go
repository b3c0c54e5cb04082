// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

func TestClaims(t *testing.T) {
	t.Setenv("SIGNATURE_ENV", "{http.auth.user.id}")
	j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{
		"sub": "{http.auth.user.id}", "name": "{http.first} {http.last}", "raw": "{env.SIGNATURE_ENV}", "gone": "{http.unknown}",
	}})
	for _, tt := range []struct {
		user, first string
		want        map[string]any
	}{
		{"ann", "Ann", map[string]any{"sub": "ann", "name": "Ann ", "raw": "{http.auth.user.id}"}},
		{`"},"admin":"yes`, "\x00\u2028", map[string]any{"sub": `"},"admin":"yes`, "name": "\x00\u2028 ", "raw": "{http.auth.user.id}"}},
		// The value of a placeholder is not expanded.
		{"{env.SIGNATURE_ENV}", "", map[string]any{"sub": "{env.SIGNATURE_ENV}", "name": " ", "raw": "{http.auth.user.id}"}},
		// An empty claim would say that there is a user with an empty name.
		{"", "", map[string]any{"name": " ", "raw": "{http.auth.user.id}"}},
		{"\ufffd", "gr\u00fc\u00dfe", map[string]any{"sub": "\ufffd", "name": "gr\u00fc\u00dfe ", "raw": "{http.auth.user.id}"}},
	} {
		repl := caddy.NewReplacer()
		repl.Set("http.auth.user.id", tt.user)
		repl.Set("http.first", tt.first)
		token := sign(t, j, repl)
		verify(t, token, "HS256", []byte(secret32))
		got := claims(t, token)
		delete(got, "iss")
		delete(got, "iat")
		delete(got, "exp")
		if !maps.Equal(got, tt.want) {
			t.Errorf("%q: claims %v, want %v", tt.user, got, tt.want)
		}
	}
}

// TestClaimsNotUTF8 checks that two users whose names are not UTF-8 never become one.
// encoding/json would give both the same sub.
func TestClaimsNotUTF8(t *testing.T) {
	j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{"sub": "{http.auth.user.id}", "name": "Mr {http.last}"}})
	for _, names := range [][2]string{
		{"\xff", ""},
		{"\xfe", ""},
		{"ann\xe9", ""},
		{"\xc0\x80", ""},
		{"\xed\xa0\x80", ""},
		{"\xf4\x90\x80\x80", ""},
		{"\xe2\x82", ""},
		{"ann", "\xff"},
		{"ann", "M\xfcller"},
		{"\ufffd", "\x80"},
	} {
		repl := caddy.NewReplacer()
		repl.Set("http.auth.user.id", names[0])
		repl.Set("http.last", names[1])
		values, err := j.Sign(repl)
		if !errors.Is(err, signature.ErrNotUTF8) || values != nil {
			t.Errorf("%q: %q, %v", names, values, err)
		}
	}
}

// TestClaimsConcurrently checks that a signature with claims of a request is never used for
// another request.
func TestClaimsConcurrently(t *testing.T) {
	j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{"sub": "{http.auth.user.id}", "aud": "fixed"}})
	fixed := provision(t, &signature.JWT{Secret: secret32})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			user := fmt.Sprint("user-", i)
			repl := caddy.NewReplacer()
			repl.Set("http.auth.user.id", user)
			for range 20 {
				values, err := j.Sign(repl)
				if err != nil {
					t.Error(err)
					return
				}
				if got := claims(t, values[0]); got["sub"] != user || got["aud"] != "fixed" {
					t.Errorf("%s got the claims %v", user, got)
				}
				if _, err := fixed.Sign(repl); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
