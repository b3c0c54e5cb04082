// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// TestDefault compares the default token with what Appsmith sends, byte by byte except for the
// order of claims: no "typ", times in whole seconds.
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
	// With claims of the request, each token has its own time.
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

// TestRenew checks that Renew reads every file again, and that a file which cannot be read changes
// nothing.
func TestRenew(t *testing.T) {
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	edKey := must2(ed25519.GenerateKey(rand.Reader))
	edKey2 := must2(ed25519.GenerateKey(rand.Reader))
	long := strings.Repeat("k", 64)
	for _, tt := range []struct {
		name             string
		jwt              func(file string) *signature.JWT
		before, bad, now string
		alg              string
		key              any
	}{
		{"secret", func(file string) *signature.JWT { return &signature.JWT{Secret: "{file." + file + "}"} }, secret32, "short", long, "HS512", []byte(long)},
		{"path of a key", func(file string) *signature.JWT { return &signature.JWT{KeyFile: file} }, pkcs8(ecKey), "none", pkcs8(edKey), "EdDSA", edKey.Public()},
		{"text of a key", func(file string) *signature.JWT { return &signature.JWT{KeyFile: "{file." + file + "}"} }, pkcs8(edKey), "none", pkcs8(edKey2), "EdDSA", edKey2.Public()},
		{"key_id", func(file string) *signature.JWT { return &signature.JWT{Secret: long, KeyID: "{file." + file + "}"} }, "a", "\xff", "b", "HS512", []byte(long)},
		{"audience", func(file string) *signature.JWT { return &signature.JWT{Secret: long, Audience: "{file." + file + "}"} }, "a", "", "b", "HS512", []byte(long)},
		{"claim", func(file string) *signature.JWT {
			return &signature.JWT{Secret: long, Claims: map[string]string{"c": "{file." + file + "}", "d": "{http.unknown}"}}
		}, "a", "\xff", "b", "HS512", []byte(long)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, tt.before)
			put := func(content string) { must(0, os.WriteFile(file, []byte(content), 0o600)) }
			j := provision(t, tt.jwt(file))
			if !j.Renewable() {
				t.Fatal("it is not renewable")
			}
			first := sign(t, j, caddy.NewReplacer())
			if changed, err := j.Renew(); changed || err != nil {
				t.Errorf("nothing has changed: %t, %v", changed, err)
			}
			put(tt.bad)
			if changed, err := j.Renew(); changed || err == nil {
				t.Errorf("with a file that is no good: %t, %v", changed, err)
			}
			if again := sign(t, j, caddy.NewReplacer()); strings.Split(again, ".")[0] != strings.Split(first, ".")[0] {
				t.Errorf("after an error it signs %q", again)
			}
			put(tt.now)
			if changed, err := j.Renew(); !changed || err != nil {
				t.Errorf("the file has changed: %t, %v", changed, err)
			}
			token := sign(t, j, caddy.NewReplacer())
			if verify(t, token, tt.alg, tt.key); token == first {
				t.Error("it signs as before")
			}
		})
	}
	if provision(t, &signature.JWT{Secret: long, KeyID: "a"}).Renewable() {
		t.Error("it is renewable without a file")
	}
}
