// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// ordered are claims that golang-jwt encodes in a given order.
type ordered struct {
	jwt.MapClaims
	text string
}

func (o ordered) MarshalJSON() ([]byte, error) { return []byte(o.text), nil }

func (o *ordered) add(name string, val any) {
	if o.text == "" {
		o.text = "{}"
	}
	comma := ","
	if o.text == "{}" {
		comma = ""
	}
	o.text = o.text[:len(o.text)-1] + comma + string(must(json.Marshal(name))) + ":" + string(must(json.Marshal(val))) + "}"
}

// libraryToken is what golang-jwt makes of the claims of a JWT whose only claims are sub and
// z<name>, which come from the request.
func libraryToken(alg, kid, issuer string, key any, at time.Time, lifetime int64, sub, name, val string) string {
	var c ordered
	c.add("iss", issuer)
	c.add("iat", at.Unix())
	c.add("exp", at.Unix()+lifetime)
	if sub != "" {
		c.add("sub", sub)
	}
	c.add("z"+name, "to "+val)
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), c)
	token.Header = map[string]any{"alg": alg}
	if kid != "" {
		token.Header["kid"] = kid
	}
	return must(token.SignedString(key))
}

// likeLibrary is one comparison with golang-jwt: where signatures are deterministic, both make the
// same bytes. Where they are not, golang-jwt verifies ours.
type likeLibrary struct {
	sub, issuer, kid, name, val string
	lifetime                    uint16
}

func (l likeLibrary) check(t *testing.T, alg string, key any) {
	t.Helper()
	j := &signature.JWT{
		Algorithm: alg, KeyID: l.kid, Issuer: l.issuer, Lifetime: caddy.Duration(time.Duration(l.lifetime) * time.Second),
		Claims: map[string]string{"sub": "{http.sub}", "z" + l.name: "to {http.val}"},
	}
	if secret, ok := key.([]byte); ok {
		j.Secret = string(secret)
	} else {
		j.KeyFile = pkcs8(key)
	}
	if l.issuer == "" || l.lifetime == 0 || strings.ContainsAny(l.issuer+l.kid, "{}") || j.Provision(caddy.Context{}) != nil {
		return // braces are placeholders there, and control characters an error
	}
	repl := caddy.NewReplacer()
	repl.Set("http.sub", l.sub)
	repl.Set("http.val", l.val)
	before := time.Now()
	for range 2 { // the second uses the buffers again
		values, err := j.Sign(repl)
		if !utf8.ValidString(l.sub) || !utf8.ValidString(l.val) {
			if err == nil {
				t.Fatalf("%q is signed", values)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		compareToken(t, values[0], alg, key, before, func(at time.Time) string {
			return libraryToken(alg, l.kid, l.issuer, key, at, int64(l.lifetime), l.sub, l.name, l.val)
		})
	}
}

var likeLibraries = []likeLibrary{
	{"ann", "Appsmith", "", "name", "you", 600},
	{"a\"b\\c<d>&e\u2028\x00\x7f", "é", "k&1", "<n>", "\ufffd", 1},
	{"", "i", "k", "", "", 59},
	{"\xff", "ii", "k", "n", "v", 59},
	{"{env.HOME}", "iii", "k", "{", "}", 59},
}

func TestLikeLibrary(t *testing.T) {
	for alg, key := range map[string]any{
		"HS256": []byte(secret32), "HS384": []byte(secret32), "HS512": []byte(secret32),
		"RS256": rsaKey(), "RS384": rsaKey(), "RS512": rsaKey(), "PS256": rsaKey(), "PS384": rsaKey(), "PS512": rsaKey(),
		"ES256": ecKey(), "ES384": ec384Key(), "ES512": ec521Key(), "EdDSA": ed25519Key(),
	} {
		for _, l := range likeLibraries {
			l.check(t, alg, key)
		}
	}
}

func FuzzSign(f *testing.F) {
	for _, l := range likeLibraries {
		f.Add(l.sub, l.issuer, l.kid, l.name, l.val, l.lifetime)
	}
	f.Fuzz(func(t *testing.T, sub, issuer, kid, name, val string, lifetime uint16) {
		l := likeLibrary{sub, issuer, kid, name, val, lifetime}
		l.check(t, "HS256", []byte(secret32))
		l.check(t, "HS512", []byte(secret32))
		l.check(t, "EdDSA", ed25519Key())
	})
}

// compareToken compares a token with the library's, which is made for the time of the token.
func compareToken(t *testing.T, token, alg string, key any, before time.Time, library func(at time.Time) string) {
	t.Helper()
	public := key
	if signer, ok := key.(crypto.Signer); ok {
		public = signer.Public()
	}
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{alg}), jwt.WithoutClaimsValidation())
	if err != nil {
		t.Fatalf("%s: golang-jwt does not verify %s: %v", alg, token, err)
	}
	at := must(parsed.Claims.GetIssuedAt()).Time
	if at.Before(before.Truncate(time.Second)) || at.After(time.Now()) {
		t.Errorf("iat is %s", at)
	}
	want := library(at)
	if alg[0] == 'P' || alg[:2] == "ES" { // these have random bytes
		token, want = token[:strings.LastIndexByte(token, '.')], want[:strings.LastIndexByte(want, '.')]
	}
	if token != want {
		t.Errorf("%s:\n%s\n%s", alg, token, want)
	}
}

// TestSignLong: a claim of any length is signed, and its buffers are not kept.
func TestSignLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{"sub": "{http.n}"}})
		for _, n := range []int{0, 1, 2, 3, 4, 10_000, 5} {
			repl := caddy.NewReplacer()
			repl.Set("http.n", string(make([]byte, n))+strconv.Itoa(n))
			if got := claims(t, sign(t, j, repl))["sub"].(string); len(got) != n+len(strconv.Itoa(n)) {
				t.Errorf("%d bytes came as %d", n, len(got))
			}
		}
	})
}
