// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
)

// The private keys of RFC 7517 appendix A.2 (EC) and RFC 8037 appendix A.1.
const (
	rfc7517EC = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",` +
		`"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"enc","kid":"1"}`
	rfc8037Ed = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",` +
		`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

func jwkOf(t *testing.T, key any, more map[string]any) string {
	t.Helper()
	fields := make(map[string]any)
	if err := json.Unmarshal(must(jose.JSONWebKey{Key: key}.MarshalJSON()), &fields); err != nil {
		t.Fatal(err)
	}
	maps.Copy(fields, more)
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(fields)))
}

func TestJWK(t *testing.T) {
	for alg, key := range keys() {
		text := jwkOf(t, key, map[string]any{"kid": "k1", "alg": alg, "use": "sig"})
		for _, text := range []string{text, "\ufeff" + text, "\r\n{\r\n " + text[1:] + "\n"} {
			got, err := signingkey.Parse(text)
			if err != nil {
				t.Errorf("%s: %v", alg, err)
				continue
			}
			if !isSame(got.Signer, key) || got.ID != "k1" || got.Algorithm != alg {
				t.Errorf("%s: kid %q, alg %q, or another key", alg, got.ID, got.Algorithm)
			}
		}
	}
	if _, err := signingkey.Parse(rfc8037Ed); err != nil {
		t.Error(err)
	}
	if _, err := signingkey.Parse(strings.ReplaceAll(rfc7517EC, `"use":"enc",`, "")); err != nil {
		t.Error(err)
	}
}

func TestJWKErrors(t *testing.T) {
	ks := keys()
	other := base64.RawURLEncoding.EncodeToString(make([]byte, 31)) + "Ag"
	private := func(alg string, more map[string]any) string { return jwkOf(t, ks[alg], more) }
	for name, test := range map[string]struct{ text, hint string }{
		"no JSON":                {`{"kty":"EC",`, "no JSON"},
		"two values":             {rfc8037Ed + rfc8037Ed, "no JSON"},
		"a set":                  {`{"keys":[` + rfc8037Ed + `]}`, "a set"},
		"a secret":               {`{"kty":"oct","k":"AAAA"}`, "shared secret"},
		"public":                 {jwkOf(t, ks["ES256"].Public(), nil), "public key"},
		"for encryption":         {rfc7517EC, "not sig"},
		"no kty":                 {private("ES256", map[string]any{"kty": nil}), "cannot be read"},
		"kty in capitals":        {strings.ReplaceAll(private("ES256", nil), `"kty"`, `"KTY"`), "cannot be read"},
		"member twice":           {`{"d":"AA",` + rfc8037Ed[1:], "cannot be read"},
		"another curve":          {private("ES256", map[string]any{"crv": "P-384"}), "cannot be read"},
		"unknown curve":          {private("ES256", map[string]any{"crv": "secp256k1"}), "cannot be read"},
		"X25519":                 {private("EdDSA", map[string]any{"crv": "X25519"}), "cannot be read"},
		"Ed25519 of other x":     {private("EdDSA", map[string]any{"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}), "cannot be read"},
		"EC of other d":          {private("ES256", map[string]any{"d": other}), "cannot be read"},
		"EC of d zero":           {private("ES256", map[string]any{"d": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}), "cannot be read"},
		"RSA without primes":     {private("RS256", map[string]any{"p": nil, "q": nil}), "cannot be read"},
		"RSA of other d":         {private("RS256", map[string]any{"d": other}), "cannot be read"},
		"standard base64":        {private("EdDSA", map[string]any{"d": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="}), "cannot be read"},
		"a number in place of d": {private("EdDSA", map[string]any{"d": 1}), "cannot be read"},
	} {
		_, err := signingkey.Parse(test.text)
		if err == nil || !strings.Contains(err.Error(), test.hint) {
			t.Errorf("%s: %v does not say %q", name, err, test.hint)
		}
		if err != nil && strings.Contains(err.Error(), other[:8]) {
			t.Errorf("%s: %v shows the key", name, err)
		}
	}
}

func TestIsJWK(t *testing.T) {
	for text, want := range map[string]bool{
		rfc8037Ed: true, " {\n\t\"kty\":1}": true, "\ufeff{\"": true, `\{"kty"`: false,
		"": false, "{": false, "{}": false, "{env.KEY}": false, "/a/key.json": false, "-----BEGIN": false, `["a"]`: false,
	} {
		if got := signingkey.IsJWK(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzParse: whatever a text is, it gives a key that can sign, or an error that shows nothing of
// the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		rfc7517EC, strings.ReplaceAll(rfc7517EC, `"use":"enc",`, ""), rfc8037Ed, `{"keys":[]}`, `{"kty":"oct","k":"AAAA"}`, `{"kty":"RSA","d":"AQ"}`,
		`{"kty":"EC","crv":"P-521","d":"AQ","x":"AQ","y":"AQ"}`, "{", `{"`, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := signingkey.Parse(text)
		if err != nil {
			if len(text) > 60 && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows the text: %v", err)
			}
			return
		}
		if key.Signer == nil || key.Signer.Public() == nil {
			t.Errorf("no key and no error")
		}
	})
}
