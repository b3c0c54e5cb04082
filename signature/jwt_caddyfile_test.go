// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"signature {env.KEY}":                      `{"secret":"{env.KEY}"}`,
		"signature {env.KEY} {\n}":                 `{"secret":"{env.KEY}"}`,
		"signature " + secret32:                    `{"secret":"` + secret32 + `"}`,
		"signature `" + secret32 + " with blanks`": `{"secret":"` + secret32 + ` with blanks"}`,
		"signature {\n key_file /key.pem\n}":       `{"key_file":"/key.pem"}`,
		`signature {
			key_file  {env.PEM}
			algorithm PS256
			header    X-Sig
			key_id    kid
			issuer    "a b"
			audience  https://api.example
			lifetime  90
			claim     sub {http.auth.user.id}
			claim     env prod
		}`: `{"header":"X-Sig","algorithm":"PS256","key_file":"{env.PEM}","key_id":"kid","issuer":"a b","audience":"https://api.example",` +
			`"lifetime":90000000000,"claims":{"env":"prod","sub":"{http.auth.user.id}"}}`,
		"signature {env.KEY} {\n lifetime 1d\n claim a \"\"\n}": `{"secret":"{env.KEY}","lifetime":86400000000000,"claims":{"a":""}}`,
	} {
		var j signature.JWT
		if err := j.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
			t.Errorf("%s: %v", input, err)
			continue
		}
		if got, err := json.Marshal(&j); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", input, got, err, want)
		}
	}
}

func TestCaddyfileErrors(t *testing.T) {
	for input, hint := range map[string]string{
		"signature":                                                    "a secret is missing",
		`signature ""`:                                                 "a secret is missing",
		"signature {\n}":                                               "a secret is missing",
		"signature " + secret32 + " more":                              "takes one secret",
		"signature s3cr3t":                                             "needs 32",
		"signature {env.K} {\n alg HS256\n}":                           "unrecognized option",
		"signature {env.K} {\n algorithm HS1024\n}":                    "is not one of",
		"signature {env.K} {\n algorithm ES256\n}":                     "takes a key_file",
		"signature {env.K} {\n key_file /k\n}":                         "remove one",
		"signature {\n key_file /k\n algorithm HS256\n}":               "takes a secret",
		"signature {env.K} {\n header\n}":                              "header: takes one value",
		"signature {env.K} {\n header A B\n}":                          "header: takes one value",
		"signature {env.K} {\n header \"\"\n}":                         "header: takes one value",
		"signature {env.K} {\n header Connection\n}":                   "belongs to the connection",
		"signature {env.K} {\n key_id a\n key_id b\n}":                 "key_id: given twice",
		"signature {env.K} {\n issuer a\n issuer a\n}":                 "issuer: given twice",
		"signature {env.K} {\n lifetime 1m\n lifetime 1m\n}":           "lifetime: given twice",
		"signature {env.K} {\n lifetime\n}":                            "lifetime: takes one value",
		"signature {env.K} {\n lifetime soon\n}":                       "is no duration",
		"signature {env.K} {\n lifetime 0\n}":                          "not above zero",
		"signature {env.K} {\n lifetime -5m\n}":                        "not above zero",
		"signature {env.K} {\n lifetime 10ms\n}":                       "less than a second",
		"signature {env.K} {\n claim sub\n}":                           "claim: takes a name and a value",
		"signature {env.K} {\n claim sub a b\n}":                       "claim: takes a name and a value",
		"signature {env.K} {\n claim sub a\n claim sub b\n}":           "sub is given twice",
		"signature {env.K} {\n claim exp 1\n}":                         "exp",
		"signature {env.K} {\n audience a\n claim aud b\n}":            "audience",
		"signature {env.K} {\n claim \"\" b\n}":                        "empty",
		"signature {env.K} {\n claim {http.x} b\n}":                    "no placeholder",
		"signature {env.K} {\n claim a {{b}}\n}":                       "one brace",
		"signature {\n algorithm RS256\n}":                             "a secret is missing",
		"signature " + secret32 + "s3cr3t {\n algorithm RS256\n}":      "takes a key_file",
		"signature " + secret32 + "s3cr3t {\n header X-A\n nothing\n}": "unrecognized option",
	} {
		err := new(signature.JWT).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		switch {
		case err == nil:
			t.Errorf("%q passes", input)
		case !strings.Contains(err.Error(), "signature: ") || !strings.Contains(err.Error(), hint):
			t.Errorf("%q: %q does not say %q", input, err, hint)
		case strings.Contains(err.Error(), "s3cr3t"):
			t.Errorf("%q: %q shows the secret", input, err)
		}
	}
}
