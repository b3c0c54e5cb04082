// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// parts returns the header and the payload of a token as they are written.
func parts(t *testing.T, token string) (header, payload string) {
	t.Helper()
	split := strings.Split(token, ".")
	if len(split) != 3 {
		t.Fatalf("%q has %d parts", token, len(split))
	}
	var texts [2]string
	for i := range texts {
		text, err := base64.RawURLEncoding.DecodeString(split[i])
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1]
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	_, payload := parts(t, token)
	var claims map[string]any
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return claims
}

// What Appsmith sends, to the byte but for the order of claims: no "typ", times in whole seconds.
func TestDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands at 2000-01-01 00:00:00 UTC
		time.Sleep(999 * time.Millisecond)
		j := provision(t, &signature.JWT{Secret: secret32})
		if j.Header() != "X-Appsmith-Signature" {
			t.Errorf("the header is %q", j.Header())
		}
		token := sign(t, j, nil)
		header, payload := parts(t, token)
		if header != `{"alg":"HS256"}` {
			t.Errorf("header %s", header)
		}
		if payload != `{"iss":"Appsmith","iat":946684800,"exp":946685400}` {
			t.Errorf("payload %s", payload)
		}
		if got, _ := verify(t, token, "HS256", []byte(secret32)); string(got) != payload {
			t.Errorf("verified %s", got)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Setenv("SIGNATURE_ISS", `a "b" <c>`)
	synctest.Test(t, func(t *testing.T) {
		j := provision(t, &signature.JWT{
			Secret: secret32, HeaderName: "x-signed-by", KeyID: "k&1", Issuer: "{env.SIGNATURE_ISS}", Audience: "https://api.example",
			Lifetime: caddy.Duration(90*time.Second + 999*time.Millisecond),
			Claims:   map[string]string{"env": "prod", `q"x`: "ü\n", "none": ""},
		})
		if j.Header() != "X-Signed-By" {
			t.Errorf("the header is %q", j.Header())
		}
		token := sign(t, j, nil)
		payload, header := verify(t, token, "HS256", []byte(secret32))
		if header.KeyID != "k&1" {
			t.Errorf("kid is %q", header.KeyID)
		}
		want := map[string]any{
			"iss": `a "b" <c>`, "aud": "https://api.example", "iat": 946684800.0, "exp": 946684890.0, "env": "prod", `q"x`: "ü\n", "none": "",
		}
		if got := claims(t, token); !maps.Equal(got, want) {
			t.Errorf("claims %s", payload)
		}
	})
}

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
		// What fills a placeholder is not expanded.
		{"{env.SIGNATURE_ENV}", "", map[string]any{"sub": "{env.SIGNATURE_ENV}", "name": " ", "raw": "{http.auth.user.id}"}},
		// An empty claim would say that there is a user of that name.
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

// Two users whose names are not UTF-8 are never one: encoding/json would give both the same sub.
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

// Signatures with per-request claims are never those of another request.
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

func TestReuse(t *testing.T) {
	for _, lifetime := range []time.Duration{10 * time.Minute, time.Hour, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			j := provision(t, &signature.JWT{Secret: secret32, Lifetime: caddy.Duration(lifetime)})
			first, err := j.Sign(nil)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(lifetime/10 - time.Nanosecond)
			if again, _ := j.Sign(nil); &again[0] != &first[0] {
				t.Error("a signature is not used again")
			}
			time.Sleep(time.Nanosecond)
			second := sign(t, j, nil)
			if second == first[0] {
				t.Error("a signature is used for more than a tenth of its lifetime")
			}
			if a, b := claims(t, first[0])["iat"].(float64), claims(t, second)["iat"].(float64); b-a != lifetime.Seconds()/10 {
				t.Errorf("iat was %v and is %v", a, b)
			}
			if again := sign(t, j, nil); again != second {
				t.Error("the second one is not used again")
			}
		})
	}
	// With claims of the request each has its own time.
	synctest.Test(t, func(t *testing.T) {
		j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{"sub": "{http.auth.user.id}"}})
		repl := caddy.NewReplacer()
		first := sign(t, j, repl)
		time.Sleep(time.Second)
		if sign(t, j, repl) == first {
			t.Error("a signature with claims of a request is used again")
		}
	})
}

func TestReuseAllocations(t *testing.T) {
	j := provision(t, &signature.JWT{Secret: secret32, Claims: map[string]string{"env": "prod"}})
	repl := caddy.NewReplacer()
	if n := testing.AllocsPerRun(100, func() { j.Sign(repl) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrors(t *testing.T) {
	const shown = "s3cr3t" // in all secrets here, and in no error
	secret := shown + secret32
	t.Setenv("SIGNATURE_KEY", secret)
	t.Setenv("SIGNATURE_EMPTY", "")
	t.Setenv("SIGNATURE_LF", shown+"\n"+shown)
	t.Setenv("SIGNATURE_LATIN1", "M\xfcller")
	for _, tt := range []struct {
		name string
		jwt  *signature.JWT
		hint string
	}{
		{"nothing", &signature.JWT{}, "a secret is missing"},
		{"algorithm only", &signature.JWT{Algorithm: "RS256"}, "a secret is missing"},
		{"both", &signature.JWT{Secret: secret, KeyFile: "/key.pem"}, "remove one"},
		{"unknown algorithm", &signature.JWT{Secret: secret, Algorithm: "none"}, "HS256, HS384, HS512, RS256, PS256, ES256, EdDSA"},
		{"lower case", &signature.JWT{Secret: secret, Algorithm: "hs256"}, "is not one of"},
		{"ES384", &signature.JWT{KeyFile: "/key.pem", Algorithm: "ES384"}, "is not one of"},
		{"HMAC with a key", &signature.JWT{KeyFile: "/key.pem", Algorithm: "HS512"}, "takes a secret"},
		{"RSA with a secret", &signature.JWT{Secret: secret, Algorithm: "RS256"}, "takes a key_file"},
		{"short", &signature.JWT{Secret: shown}, "needs 32"},
		{"unset", &signature.JWT{Secret: "{env.SIGNATURE_UNSET}"}, "{env.SIGNATURE_UNSET}"},
		{"empty", &signature.JWT{Secret: secret + "{env.SIGNATURE_EMPTY}"}, "{env.SIGNATURE_EMPTY}"},
		{"request", &signature.JWT{Secret: secret + "{http.request.uri}"}, "belongs to a request"},
		{"moustache", &signature.JWT{Secret: "{{" + secret + "}}"}, "one brace"},
		{"header", &signature.JWT{Secret: secret, HeaderName: "X Sig"}, "no valid name"},
		{"Host", &signature.JWT{Secret: secret, HeaderName: "host"}, "belongs to the connection"},
		{"TE", &signature.JWT{Secret: secret, HeaderName: "TE"}, "belongs to the connection"},
		{"Transfer-Encoding", &signature.JWT{Secret: secret, HeaderName: "transfer-encoding"}, "belongs to the connection"},
		{"lifetime", &signature.JWT{Secret: secret, Lifetime: caddy.Duration(time.Second - 1)}, "lifetime"},
		{"negative lifetime", &signature.JWT{Secret: secret, Lifetime: -1}, "lifetime"},
		{"key_id", &signature.JWT{Secret: secret, KeyID: "{env.SIGNATURE_EMPTY}"}, "signature: key_id: "},
		{"issuer", &signature.JWT{Secret: secret, Issuer: "{http.auth.user.id}"}, "signature: issuer: "},
		{"issuer LF", &signature.JWT{Secret: secret, Issuer: "{env.SIGNATURE_LF}"}, "control character"},
		{"audience", &signature.JWT{Secret: secret, Audience: "{env.SIGNATURE_UNSET}"}, "signature: audience: "},
		{"claim without a name", &signature.JWT{Secret: secret, Claims: map[string]string{"": "x"}}, "empty"},
		{"claim iss", &signature.JWT{Secret: secret, Claims: map[string]string{"iss": "x"}}, "iss"},
		{"claim iat", &signature.JWT{Secret: secret, Claims: map[string]string{"iat": "x"}}, "iat"},
		{"claim exp", &signature.JWT{Secret: secret, Claims: map[string]string{"exp": "x"}}, "exp"},
		{"claim aud twice", &signature.JWT{Secret: secret, Audience: "a", Claims: map[string]string{"aud": "x"}}, "audience"},
		{"claim with a placeholder in its name", &signature.JWT{Secret: secret, Claims: map[string]string{"{http.x}": "x"}}, "no placeholder"},
		{"claim unset", &signature.JWT{Secret: secret, Claims: map[string]string{"a": "{env.SIGNATURE_UNSET}"}}, "signature: claim a: "},
		{"claim in Latin-1", &signature.JWT{Secret: secret, Claims: map[string]string{"a": "{env.SIGNATURE_LATIN1}"}}, "claim a: the value is not UTF-8"},
		{"claim's name in Latin-1", &signature.JWT{Secret: secret, Claims: map[string]string{"\xfc": "a"}}, "is not UTF-8"},
		{"issuer in Latin-1", &signature.JWT{Secret: secret, Issuer: "{env.SIGNATURE_LATIN1}"}, "claim iss: the value is not UTF-8"},
		{"audience in Latin-1", &signature.JWT{Secret: secret, Audience: "{env.SIGNATURE_LATIN1}"}, "claim aud: the value is not UTF-8"},
		{"key_id in Latin-1", &signature.JWT{Secret: secret, KeyID: "{env.SIGNATURE_LATIN1}"}, "key_id: the value is not UTF-8"},
		{"claim moustache", &signature.JWT{Secret: secret, Claims: map[string]string{"a": shown + "{{x}}"}}, "one brace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.jwt.Provision(caddy.Context{})
			switch {
			case err == nil:
				t.Error("no error")
			case !strings.HasPrefix(err.Error(), "signature: ") || !strings.Contains(err.Error(), tt.hint):
				t.Errorf("%q does not say %q", err, tt.hint)
			case strings.Contains(err.Error(), shown):
				t.Errorf("%q shows the secret", err)
			}
		})
	}
}

// `caddy adapt` runs where the secrets are not.
func TestValidateResolvesNothing(t *testing.T) {
	for _, j := range []*signature.JWT{
		{Secret: "{env.SIGNATURE_UNSET}"}, {KeyFile: "/no/such/file"}, {Secret: "sealed:v1:x"}, {Secret: secret32, Claims: map[string]string{"a": "{env.SIGNATURE_UNSET}"}},
	} {
		if err := j.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestMarshalLogObject(t *testing.T) {
	j := provision(t, &signature.JWT{Secret: secret32, KeyID: "kid"})
	buf, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("a", j), zap.Any("b", j)})
	if err != nil {
		t.Fatal(err)
	}
	if text := buf.String(); strings.Contains(text, secret32) || !strings.Contains(text, "X-Appsmith-Signature") {
		t.Errorf("logged as %s", text)
	}
}

func TestModule(t *testing.T) {
	info, err := caddy.GetModule("http.authenticated_api.signers.jwt")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := info.New().(signature.Signer); !ok {
		t.Errorf("New returns a %T", info.New())
	}
	if !slices.Contains(caddy.Modules(), "http.authenticated_api.signers.jwt") {
		t.Error("the module is not registered")
	}
}
