// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
)

// TestRewrite replaces each URL by the same in brackets.
func TestRewrite(t *testing.T) {
	for _, test := range []struct{ name, val, want string }{
		{"Location", "/a", "[/a]"},
		{"Hx-Location", "/a", "[/a]"},
		// RFC 8288: targets and anchors, and nothing else.
		{"Link", `</a>; rel="next"; title="/a"`, `<[/a]>; rel="next"; title="/a"`},
		{"Link", `</a>;rel=next, < /b >; anchor="/c"`, `<[/a]>;rel=next, <[/b]>; anchor="[/c]"`},
		{"Link", `</a>; ANCHOR = "#c"`, `<[/a]>; ANCHOR = "[#c]"`},
		{"Link", `</a>; xanchor="/c"; title="anchor=\"</d>\""`, `<[/a]>; xanchor="/c"; title="anchor=\"</d>\""`},
		{"Link", `</a>; title="x", </b`, `<[/a]>; title="x", </b`},
		// HTML reads Refresh in more forms than one.
		{"Refresh", "5; url=/a", "5; url=[/a]"},
		{"Refresh", "5;URL = '/a' x", "5;URL = '[/a]' x"},
		{"Refresh", `5, "/a"`, `5, "[/a]"`},
		{"Refresh", "5 /a", "5 [/a]"},
		{"Refresh", "0;url=\"/a", "0;url=\"[/a]"},
		{"Refresh", "5", "5"},
		{"Refresh", "5;urls", "5;[urls]"},
		{"Upload-Concat", "final;/a  /b", "final;[/a]  [/b]"},
		{"Upload-Concat", "partial", "partial"},
		// Metadata, names, and a challenge are not the gateway's business.
		{"X-Amz-Meta-Location", "/a", "/a"},
		{"Www-Authenticate", `Bearer resource_metadata="/a"`, `Bearer resource_metadata="/a"`},
	} {
		h := http.Header{test.name: {test.val}}
		link.Rewrite(h, func(ref string) string { return "[" + ref + "]" })
		if got := h.Get(test.name); got != test.want {
			t.Errorf("%s: %s becomes %s, want %s", test.name, test.val, got, test.want)
		}
		if strings.ContainsAny(test.want, "[") && !link.HasLinks(h) {
			t.Errorf("%s: there are no links in it", test.name)
		}
	}
}

// TestHasLinks has the fields that docs/links.md names.
func TestHasLinks(t *testing.T) {
	for _, name := range []string{
		"Location", "Content-Location", "Link", "Refresh", "X-Goog-Upload-URL", "X-Goog-Upload-Control-URL", "Operation-Location", "Azure-AsyncOperation",
		"OData-EntityId", "DataServiceId", "Upload-Concat", "SourceMap", "X-SourceMap", "X-Pingback", "HX-Location", "HX-Redirect", "HX-Push-Url",
		"HX-Replace-Url", "X-Inertia-Location", "Set-Cookie",
	} {
		h := make(http.Header)
		if h.Set(name, "/a"); !link.HasLinks(h) {
			t.Errorf("%s has no links", name)
		}
	}
	if link.HasLinks(http.Header{"Content-Type": {"text/plain"}, "X-Amz-Meta-Location": {"/a"}, "Www-Authenticate": {"Bearer"}}) {
		t.Error("other fields have links")
	}
}
