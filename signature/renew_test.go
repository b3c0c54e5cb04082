// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// Whatever a signature reads from a file it reads again when it is told to, and what it cannot read leaves it as it was.
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
