// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
)

// An empty want means that the cookie is dropped.
func TestMapCookies(t *testing.T) {
	for _, test := range []struct{ cookie, crm, root string }{
		{"a=b; Path=/", "a=b; Path=/crm", "a=b; Path=/"},
		{"a=b; Path=/v2; Domain=example.com; Secure", "a=b; Path=/crm; Secure", "a=b; Path=/; Secure"},
		{"a=b; path=/v2/items; HttpOnly", "a=b; path=/crm/items; HttpOnly", "a=b; path=/items; HttpOnly"},
		{"a=b; Path=/v2/", "a=b; Path=/crm/", "a=b; Path=/"},
		// Without a path the client makes the same of its own URL.
		{"a=b; Max-Age=60", "a=b; Max-Age=60", "a=b; Max-Age=60"},
		{"a=b; Path=; Secure", "a=b; Secure", "a=b; Secure"},
		{"a=b; Path=v2", "a=b", "a=b"},
		// The last path counts.
		{"a=b; Path=/v1; Path=/v2/x", "a=b; Path=/crm/x", "a=b; Path=/x"},
		{"a=b; Path=/v1; PATH=/v2/x", "a=b; PATH=/crm/x", "a=b; PATH=/x"},
		// A place beside the base URL, or one that leads up.
		{"a=b; Path=/v1", "", ""},
		{"a=b; Path=/v20", "", ""},
		{"a=b; Path=/v2/../x", "", ""},
		{"a=b; Path=/v2/%2e%2e/x", "", ""},
		// A cookie for a whole host stays, but never for another host.
		{"__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/"},
		{"__host-a=b; Path=/; Domain=example.com", "__host-a=b; Path=/", "__host-a=b; Path=/"},
	} {
		for prefix, want := range map[string]string{"/crm": test.crm, "": test.root} {
			h := http.Header{"Set-Cookie": {test.cookie}}
			newRoute(t, prefix, "/items/7").MapCookies(h)
			if got := h.Get("Set-Cookie"); got != want || len(h) > 0 && want == "" {
				t.Errorf("%q below %q becomes %q, want %q", test.cookie, prefix, got, want)
			}
		}
	}
}

// TestMapCookiesByRoute has routes of which less is known, or more.
func TestMapCookiesByRoute(t *testing.T) {
	for name, test := range map[string]struct {
		change       func(r *link.Route)
		cookie, want string
	}{
		"the prefix is not known":             {func(r *link.Route) { r.Known = false }, "a=b; Path=/v1", "a=b; Path=/v1"},
		"a proxy in front":                    {func(r *link.Route) { r.Outer = "/team" }, "a=b; Path=/v2/x", "a=b; Path=/team/crm/x"},
		"a prefix that would end the path":    {func(r *link.Route) { r.Prefix = "/a;b" }, "a=b; Path=/v2/x", ""},
		"a base URL below the cookie's path":  {func(r *link.Route) { r.Base = baseURL(t, "https://api.example.com/v2/public") }, "a=b; Path=/v2", "a=b; Path=/crm"},
		"a base URL that was written without": {func(r *link.Route) { r.Path, r.Sent = "", &url.URL{Path: "/v2"} }, "a=b", "a=b; Path=/crm"},
	} {
		r := newRoute(t, "/crm", "/items/7")
		test.change(r)
		h := http.Header{"Set-Cookie": {test.cookie}}
		if r.MapCookies(h); h.Get("Set-Cookie") != test.want {
			t.Errorf("%s: %q becomes %q, want %q", name, test.cookie, h.Get("Set-Cookie"), test.want)
		}
	}
}

func TestMapCookiesKeepsOthers(t *testing.T) {
	h := http.Header{"Set-Cookie": {"a=b; Path=/v1", "c=d; Path=/v2"}}
	newRoute(t, "/crm", "/items/7").MapCookies(h)
	if want := []string{"c=d; Path=/crm"}; !slices.Equal(h["Set-Cookie"], want) {
		t.Errorf("the caller gets %q, want %q", h["Set-Cookie"], want)
	}
}
