// SPDX-License-Identifier: Apache-2.0

package option

import (
	"strings"
	"testing"
)

// TestUnrecognized: a slip gets the option that was meant, an option of another block its block,
// and anything else all that there are.
func TestUnrecognized(t *testing.T) {
	oauth := places[1].options
	for _, tt := range []struct {
		word    string
		options []string
		want    string
	}{
		{"scope", oauth, `unrecognized option "scope"; did you mean scopes?`},
		{"client-id", oauth, `unrecognized option "client-id"; did you mean client_id?`},
		{"clientSecret", oauth, `unrecognized option "clientSecret"; did you mean client_secret?`},
		{"tokenUrl", oauth, `unrecognized option "tokenUrl"; did you mean token_url?`},
		{"redirect_uri", oauth, `unrecognized option "redirect_uri"; did you mean redirect_url?`},
		{"token_uri", oauth, `unrecognized option "token_uri"; did you mean token_url?`},
		{"secret", oauth, "unrecognized option (a word of 6 characters); did you mean client_secret?"},
		{"aud", oauth, `unrecognized option "aud"; there are `},
		{"key", oauth, "key is a global option; write it in the block at the top of the Caddyfile: { authenticated_api { key … } }"},
		{"operators", oauth, "operators is an option of authenticated_api_console { … }; write it there"},
		{"issuer", places[0].options, "issuer is an option of auth oauth2 { … } and of auth jwt { … } and of signature { … }; write it there"},
		{"sk_live_51HxQ2eZvKYlo2C", []string{"in", "prefix"}, "unrecognized option (a word of 23 characters); there are in and prefix"},
		{"x", nil, `unrecognized option "x"; there are none`},
	} {
		if got := Unrecognized(tt.word, tt.options...); got != tt.want && !strings.HasSuffix(tt.want, "there are ") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.word, got, tt.want)
		}
	}
}
