// SPDX-License-Identifier: Apache-2.0

package clean

import (
	"net/http"
	"strings"
	"testing"
)

func TestMarkPrivate(t *testing.T) {
	for _, test := range []struct{ in, vary, want, wantVary string }{
		{"", "", "private", "Authorization, Cookie"},
		{"public, max-age=60", "Accept", "private, max-age=60", "Accept, Authorization, Cookie"},
		{"S-MaxAge=600, PUBLIC", "cookie", "private", "cookie, Authorization"},
		{"no-store", "*", "private, no-store", "*"},
		{`private="set-cookie, x", no-cache="a,b", immutable`, "", `private, no-cache="a,b", immutable`, "Authorization, Cookie"},
		{`ext="a\",public", s-maxage=1`, "", `private, ext="a\",public"`, "Authorization, Cookie"},
		{",,", "", "private", "Authorization, Cookie"},
		{`"unended, public`, "", `private, "unended, public`, "Authorization, Cookie"},
	} {
		h := http.Header{}
		for _, name := range []string{
			"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control", "X-LiteSpeed-Cache-Control", "Surrogate-Control",
			"X-Accel-Expires", "Edge-Control",
		} {
			h.Set(name, "max-age=9")
		}
		if test.in != "" {
			h["Cache-Control"] = []string{test.in}
		}
		if test.vary != "" {
			h["Vary"] = []string{test.vary}
		}
		MarkPrivate(h)
		if got := strings.Join(h["Cache-Control"], "|"); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.in, got, test.want)
		}
		if got := strings.Join(h["Vary"], ", "); got != test.wantVary {
			t.Errorf("Vary %q becomes %q, want %q", test.vary, got, test.wantVary)
		}
		if len(h) != 2 {
			t.Errorf("%v is left", h)
		}
	}
}
