// SPDX-License-Identifier: Apache-2.0

package clean_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
)

// What passes of WWW-Authenticate keeps its bytes: clients have parsers of their own for it.
func TestChallengesKeepTheirBytes(t *testing.T) {
	for _, tt := range []struct {
		sent, want []string
	}{
		// A registry's, which its clients split at commas without a blank behind.
		{[]string{`Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull,push"`}, nil},
		{[]string{`Bearer  realm="a" ,  error="invalid_token",error_description="x, y"`}, nil},
		{[]string{`Bearer realm="a",`}, nil},
		{[]string{`, Bearer realm="a"`, "DPoP\talgs=\"ES256\"", ""}, nil},
		{[]string{`Bearer`, `Bearer realm=a,  PoP nonce="b"`}, nil},
		{[]string{`Bearer realm="a \" Basic, b",x=y`}, nil},
		{[]string{`Negotiate,Bearer realm="a",error=b`}, []string{`Bearer realm="a",error=b`}},
		{[]string{`Bearer realm="a",error=b  , Basic realm="c",charset="UTF-8"`}, []string{`Bearer realm="a",error=b`}},
		{[]string{`Bearer a="b",c=d,Basic realm="e",DPoP f=g,h=i`}, []string{`Bearer a="b",c=d, DPoP f=g,h=i`}},
		{[]string{`NTLM, Basic realm="a", Digest nonce="b",qop="auth"`, `Bearer a=b,c=d`}, []string{`Bearer a=b,c=d`}},
		{[]string{`Basic realm="a"`, ` negotiate `}, []string{}},
	} {
		if tt.want == nil {
			tt.want = tt.sent
		}
		h := http.Header{"Www-Authenticate": slices.Clone(tt.sent)}
		clean.NewResponses(clean.Carried{}, clean.NewRequests(clean.Own{}, nil), nil).Header(h)
		if got := h["Www-Authenticate"]; !slices.Equal(got, tt.want) {
			t.Errorf("%q becomes %q, want %q", tt.sent, got, tt.want)
		}
	}
}
