// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

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
		{"unknown algorithm", &signature.JWT{Secret: secret, Algorithm: "none"}, "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"},
		{"lower case", &signature.JWT{Secret: secret, Algorithm: "hs256"}, "is not one of"},
		{"ES256K", &signature.JWT{KeyFile: "/key.pem", Algorithm: "ES256K"}, "is not one of"},
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

// TestValidateResolvesNothing: `caddy adapt` may run on a machine that has no secrets.
func TestValidateResolvesNothing(t *testing.T) {
	for _, j := range []*signature.JWT{
		{Secret: "{env.SIGNATURE_UNSET}"}, {KeyFile: "/no/such/file"}, {Secret: "sealed:v1:x"}, {Secret: secret32, Claims: map[string]string{"a": "{env.SIGNATURE_UNSET}"}},
	} {
		if err := j.Validate(); err != nil {
			t.Error(err)
		}
	}
}
