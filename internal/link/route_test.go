// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestPublicPrefix(t *testing.T) {
	for _, test := range []struct {
		original, current, want string
		ok                      bool
	}{
		{"/crm/items/7", "/items/7", "/crm", true},
		{"/items/7", "/items/7", "", true},
		{"/crm", "/", "/crm", true}, // handle_path makes / of an empty path
		{"/crm", "", "/crm", true},
		{"/crm/", "/", "/crm", true},
		{"/", "/", "", true},
		{"//a/crm//x", "/x", "/a/crm", true},
		{"/crm/items", "/other", "", false},
	} {
		if got, ok := link.PublicPrefix(test.original, test.current); ok != test.ok || ok && got != test.want {
			t.Errorf("%q, now %q: %q, %t, want %q", test.original, test.current, got, ok, test.want)
		}
	}
}

func TestIsItself(t *testing.T) {
	for _, test := range []struct {
		original, current string
		want              bool
	}{
		{"/crm", "/", true}, {"/crm", "", true}, {"/", "/", true}, {"/crm/", "/", false}, {"/crm/x", "/x", false},
	} {
		if got := link.IsItself(test.original, test.current); got != test.want {
			t.Errorf("%q, now %q: %t", test.original, test.current, got)
		}
	}
}

// FuzzRoute maps a URL of the API to the caller and back. The result is the same URL, however
// often the gateway maps it.
func FuzzRoute(f *testing.F) {
	for _, ref := range []string{
		"https://api.test/v1/public/x?page=2", "/v1/public/a%2Fb;c?x=1&y", "//api.test/v1/public/x/", "https://api.test/v1/public", "/v1/public/", "http://API.test:80/v1/public/x",
		"/v1/public//x", "/v1/public/a|b", "https://api.test/v1/public/%76", "/v1/%70ublic/x", "https://b\u00fccher.test/v1/public/x",
	} {
		f.Add(ref, "/gh", "", "/y")
		f.Add(ref, "", "/team", "/")
	}
	base := baseURL(f, "https://api.test/v1/public")
	f.Fuzz(func(t *testing.T, ref, prefix, outer, path string) {
		for _, p := range []string{prefix, outer, path} {
			if u, err := url.Parse("http://gateway" + p); err != nil || u.EscapedPath() != p || strings.HasPrefix(p, "//") || wire.EscapesBase(p) {
				return
			}
		}
		if path == "" || strings.HasSuffix(prefix, "/") || strings.HasSuffix(outer, "/") {
			return
		}
		r := &link.Route{
			Base: base, Origin: "https://gateway.test", Hosts: [2]string{"gateway.test"}, Names: [2]string{"api.test", "xn--bcher-kva.test"},
			Prefix: prefix, Outer: outer, Known: true, Path: path, Sent: base.Join(&url.URL{Path: path}),
		}
		to := r.ToCaller(ref)
		if to == ref || strings.HasPrefix(to, "https://api.test") {
			return // it does not lead to the gateway, or is relative to the request
		}
		back, ok := r.ToAPI(to)
		if !ok {
			return // a place is held to more than a link: query and fragment count
		}
		if again := r.ToCaller(back); again != to && again != "https:"+to && outer+prefix != "" {
			t.Errorf("%q became %q, that %q, and that %q", ref, to, back, again)
		}
		u, err := url.Parse(back)
		before, err2 := url.Parse(ref)
		if err == nil && err2 == nil && rig.Unescape(strings.TrimSuffix(u.Path, "/")) != rig.Unescape(strings.TrimSuffix(before.Path, "/")) {
			t.Errorf("%q became %q, and that %q", ref, to, back)
		}
	})
}
