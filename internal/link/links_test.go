// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestToCaller(t *testing.T) {
	for _, test := range []struct{ ref, crm, root string }{
		// An absolute URL stays absolute, whatever name the API calls itself.
		{"https://api.example.com/v2/items?page=2", "https://gw.example.com/crm/items?page=2", "https://gw.example.com/items?page=2"},
		{"http://API.example.com./v2/items", "https://gw.example.com/crm/items", "https://gw.example.com/items"},
		{"https://10.0.0.7:8443/v2/items", "https://gw.example.com/crm/items", "https://gw.example.com/items"},
		{"//api.example.com/v2/items", "//gw.example.com/crm/items", "//gw.example.com/items"},
		{"https://api.example.com/v2", "https://gw.example.com/crm", "https://gw.example.com/"},
		{"https://api.example.com/v2/", "https://gw.example.com/crm/", "https://gw.example.com/"},
		// A path stays a path, and its bytes stay as they are.
		{"/v2/items#top", "/crm/items#top", "/items#top"},
		{"/v2/a%2Fb;c", "/crm/a%2Fb;c", "/a%2Fb;c"},
		{"/%762/items", "/crm/items", "/items"},
		{"/v2//evil.example/x", "/crm//evil.example/x", "https://gw.example.com//evil.example/x"},
		// What is relative to the request stays, unless it leads up.
		{"8", "8", "8"},
		{"?page=2", "?page=2", "?page=2"},
		{"", "", ""},
		{"../items/8", "/crm/items/8", "/items/8"},
		{"../../v1/items", "https://api.example.com/v1/items", "https://api.example.com/v1/items"},
		// A path beside the base URL becomes the API's own URL.
		{"/v1/items?tag=x", "https://api.example.com/v1/items?tag=x", "https://api.example.com/v1/items?tag=x"},
		{"/v20/items", "https://api.example.com/v20/items", "https://api.example.com/v20/items"},
		{"/v2/%2e%2e/admin", "https://api.example.com/v2/%2e%2e/admin", "https://api.example.com/v2/%2e%2e/admin"},
		// Other URLs stay.
		{"https://api.example.com/v1/items", "https://api.example.com/v1/items", "https://api.example.com/v1/items"},
		{"https://api.example.com/v2/%2e%2e/admin", "https://api.example.com/v2/%2e%2e/admin", "https://api.example.com/v2/%2e%2e/admin"},
		{"https://api.example.com:8443/v2/items", "https://api.example.com:8443/v2/items", "https://api.example.com:8443/v2/items"},
		{"https://ann@api.example.com/v2/items", "https://ann@api.example.com/v2/items", "https://ann@api.example.com/v2/items"},
		{"https://files.example.net/f?tag=x", "https://files.example.net/f?tag=x", "https://files.example.net/f?tag=x"},
		{"ftp://api.example.com/v2/items", "ftp://api.example.com/v2/items", "ftp://api.example.com/v2/items"},
		{"urn:isbn:0451450523", "urn:isbn:0451450523", "urn:isbn:0451450523"},
		{"/v2/\titems", "/v2/\titems", "/v2/\titems"},
		{`\v2\items`, `\v2\items`, `\v2\items`},
		// The query loses what the gateway puts there itself.
		{"/v2/items?format=json&tenant=acme&page=2&tag=x&api_key=s", "/crm/items?page=2", "/items?page=2"},
		{"?tag=y&tag=x&format=xml", "?tag=y&format=xml", "?tag=y&format=xml"},
		{"/v2/items?tenant=other", "/crm/items", "/items"},
	} {
		for prefix, want := range map[string]string{"/crm": test.crm, "": test.root} {
			if got := newRoute(t, prefix, "/items/7").ToCaller(test.ref); got != want {
				t.Errorf("%q below %q becomes %q, want %q", test.ref, prefix, got, want)
			}
		}
	}
}

// TestToCallerByRoute has routes of which less is known, or more.
func TestToCallerByRoute(t *testing.T) {
	const item, path = "https://api.example.com/v2/items", "/v2/items"
	for name, test := range map[string]struct {
		change    func(r *link.Route)
		ref, want string
	}{
		"the prefix is not known":     {change: func(r *link.Route) { r.Known = false }, ref: item, want: item},
		"the origin is not known":     {change: func(r *link.Route) { r.Origin = "" }, ref: item, want: "/crm/items"},
		"a proxy in front, URL":       {change: func(r *link.Route) { r.Outer = "/team" }, ref: item, want: "https://gw.example.com/team/crm/items"},
		"a proxy in front, path":      {change: func(r *link.Route) { r.Outer = "/team" }, ref: path, want: "/team/crm/items"},
		"the base URL with a slash":   {change: func(r *link.Route) { r.Path, r.Sent = "", &url.URL{Path: "/v2/"} }, ref: "8", want: "/crm/8"},
		"the API has the public host": {change: func(r *link.Route) { r.Names[0] = "gw.example.com" }, ref: "https://gw.example.com/v2/items", want: "https://gw.example.com/crm/items"},
		"the API has the public prefix": {change: func(r *link.Route) {
			r.Base, r.Names[0] = baseURL(t, "https://api.example.com"), "gw.example.com"
		}, ref: "https://gw.example.com/crm/v2", want: "https://gw.example.com/crm/v2"},
		"a path of no valid URL": {change: func(r *link.Route) { r.Path, r.Sent = "/a|/b", &url.URL{Opaque: "/v2/a|/b"} }, ref: "../c", want: "/crm/c"},
	} {
		r := newRoute(t, "/crm", "/items/7")
		test.change(r)
		if got := r.ToCaller(test.ref); got != test.want {
			t.Errorf("%s: %q becomes %q, want %q", name, test.ref, got, test.want)
		}
	}
}

func TestTurn(t *testing.T) {
	for _, test := range []struct {
		prefix, path, ref string
		want              link.Turn
	}{
		{"/crm", "/items", "http://api.example.com/v2/items", link.TurnAway},
		{"/crm", "/items", "https://10.0.0.7:8443/v2/items", link.TurnAway},
		{"/crm", "/items", "https://api.example.com/v2/items", link.NoTurn},
		{"/crm", "/items", "http://api.example.com/v2/items?page=2", link.NoTurn},
		{"/crm", "/items", "http://api.example.com/v2/items?tenant=acme", link.TurnAway},
		{"/crm", "/items", "https://files.example.net/v2/items", link.NoTurn},
		{"/crm", "/items", "/v2/items/", link.NoTurn}, // the caller has two URLs for these
		{"/crm", "/items", "/v2/other", link.NoTurn},
		{"", "/", "/v2", link.TurnSlash}, // the caller has one
		{"", "/", "https://api.example.com/v2", link.TurnSlash},
		{"/crm", "/", "/v2", link.NoTurn},
	} {
		if got := newRoute(t, test.prefix, test.path).Turn(test.ref); got != test.want {
			t.Errorf("%s below %q, redirected to %s: %d, want %d", test.path, test.prefix, test.ref, got, test.want)
		}
	}
}

func TestFollows(t *testing.T) {
	for _, test := range []struct {
		method string
		status int
		want   bool
	}{
		{http.MethodGet, 301, true},
		{http.MethodHead, 302, true},
		{http.MethodGet, 303, true},
		{http.MethodPost, 301, false},
		{http.MethodPost, 302, false},
		{http.MethodPut, 303, false},
		{http.MethodPost, 307, true},
		{http.MethodPut, 308, true},
		{http.MethodGet, 304, false},
		{http.MethodGet, 201, false},
	} {
		if got := link.Follows(test.method, test.status); got != test.want {
			t.Errorf("%s at a %d: %t", test.method, test.status, got)
		}
	}
}

// An empty want means that the place is not below the base URL.
func TestToAPI(t *testing.T) {
	for _, test := range []struct{ ref, crm, root string }{
		{"https://gw.example.com/crm/items/8", "https://api.example.com/v2/items/8", "https://api.example.com/v2/crm/items/8"},
		{"http://GW.example.com/crm/items/8?a=b", "https://api.example.com/v2/items/8?a=b", "https://api.example.com/v2/crm/items/8?a=b"},
		{"//gw.example.com/crm/a%20b/", "https://api.example.com/v2/a%20b/", "https://api.example.com/v2/crm/a%20b/"},
		{"https://gw.example.com/crm", "https://api.example.com/v2", "https://api.example.com/v2/crm"},
		{"/crm/items/8", "/v2/items/8", "/v2/crm/items/8"},
		{"/crm", "/v2", "/v2/crm"},
		{"/crm?a=/crm", "/v2?a=/crm", "/v2/crm?a=/crm"},
		{"https://gw.example.com/crm?a", "https://api.example.com/v2?a", "https://api.example.com/v2/crm?a"},
		{"/v2?a=b:c", "/v2?a=b:c", "/v2/v2?a=b:c"},
		{"https://api.example.com/v2?a#b", "https://api.example.com/v2?a#b", "https://api.example.com/v2?a#b"},
		{"https://gw.example.com?a", "", "https://api.example.com/v2?a"},
		{"#a", "", ""},
		{"8", "/v2/items/8", "/v2/items/8"},
		{"/v2/items/8", "/v2/items/8", "/v2/v2/items/8"},
		{"http://api.example.com/v2/items/8", "https://api.example.com/v2/items/8", "https://api.example.com/v2/items/8"},
		{"https://api.example.com/v2/items/8", "https://api.example.com/v2/items/8", "https://api.example.com/v2/items/8"},
		{"https://gw.example.com/other/8", "", "https://api.example.com/v2/other/8"},
		{"/crmx/8", "", "/v2/crmx/8"},
		{"https://api.example.com/v1/items", "", ""},
		{"https://api.example.com/v20/items", "", ""},
		{"https://files.example.net/f", "", ""},
		{"https://ann@gw.example.com/crm/8", "", ""},
		{"ftp://gw.example.com/crm/8", "", ""},
		{"/crm/../v1", "", ""},
		{"/crm/%2e%2e/v1", "", ""},
		{"/crm/%252e%252e/v1", "", ""},
		{"/crm/.\t./v1", "", ""},
		{"?a=b", "", ""},
		{`\crm\8`, "", ""},
		{"", "", ""},
	} {
		for prefix, want := range map[string]string{"/crm": test.crm, "": test.root} {
			if got, ok := newRoute(t, prefix, "/items/7").ToAPI(test.ref); ok != (want != "") || ok && got != want {
				t.Errorf("%q below %q becomes %q, %t, want %q", test.ref, prefix, got, ok, want)
			}
		}
	}
}

// TestToAPIOuter has a proxy in front that has cut its own prefix off the path, and perhaps off
// the header field.
func TestToAPIOuter(t *testing.T) {
	r := newRoute(t, "/crm", "/items/7")
	r.Outer = "/team"
	for _, ref := range []string{"/team/crm/a", "/crm/a"} {
		if got, ok := r.ToAPI(ref); got != "/v2/a" || !ok {
			t.Errorf("%q becomes %q, %t", ref, got, ok)
		}
	}
	if got, ok := r.ToAPI("/team/a"); ok {
		t.Errorf("a place beside the route becomes %q", got)
	}
}

// withSigns escapes each percent sign that begins no escape. Browsers take such a sign as it is,
// and Go takes the URL for none.
func withSigns(ref string) string {
	var sb strings.Builder
	for i := range len(ref) {
		sb.WriteByte(ref[i])
		if ref[i] != '%' {
			continue
		}
		if _, err := url.PathUnescape(ref[i:min(i+3, len(ref))]); err != nil {
			sb.WriteString("25")
		}
	}
	return sb.String()
}

// FuzzLinks looks for a URL of an API that the mapping turns into a URL that leaves the gateway's
// prefix.
func FuzzLinks(f *testing.F) {
	for _, ref := range []string{
		"https://api.test/v1/public/x?api_key=s&page=2", "/v1/public//evil.test", "/v1/public/..//evil.test", "//api.test/v1/public/%2e%2e/x", `\\evil.test`,
		"https://api.test/v1/public;x", "https://api.test:443/v1/public?API%5fKEY[]=s", "?a=b;api_key=s#x?api_key=s", "/v1/public/x?next=%2Fy%3Fapi_key%3Ds", "http:/v1/public",
		"/v1/public/canary%2D7731/x", "/v1/public/\t/evil.test", "https://api.test/v1/public/?a=%", "https:///v1/public/x", "https://api.test//v1/public/x", "/v1/public/./../public/x",
	} {
		f.Add(ref, "/gh", "/v1/public/y")
		f.Add(ref, "", "/v1/public/")
	}
	f.Add("0%", "", "/v1/public")
	f.Add("%%", "", "/v1/public")
	bases := []*wire.BaseURL{baseURL(f, "https://api.test/v1/public"), baseURL(f, "https://api.test")}
	f.Fuzz(func(t *testing.T, ref, prefix, path string) {
		if strings.ContainsAny(ref, "\r\n\x00") || prefix != "" && (prefix == "/" || prefix != "/"+strings.Trim(prefix, "/")) || strings.ContainsAny(prefix, "?#\r\n") {
			return // as PublicPrefix has it
		}
		if u, err := url.Parse("http://gateway" + prefix); err != nil || u.EscapedPath() != prefix {
			return // it is no prefix of a path that has reached the gateway
		}
		target, err := url.Parse("https://api.test" + path)
		if err != nil || !strings.HasPrefix(path, "/v1/public") {
			return
		}
		below := strings.TrimPrefix(target.EscapedPath(), "/v1/public")
		if !strings.HasPrefix(below, "/") {
			below = "/"
		}
		for _, base := range bases {
			r := &link.Route{
				Base: base, Origin: "https://gateway.test", Hosts: [2]string{"gateway.test"},
				Prefix: prefix, Known: true, Path: below, Sent: target,
			}
			mapped := r.ToCaller(ref)
			if mapped == ref || strings.HasPrefix(mapped, "https://api.test") {
				continue // left alone, or made absolute
			}
			mapped = strings.TrimPrefix(mapped, "https://gateway.test")
			if strings.HasPrefix(ref, "//") {
				mapped = strings.TrimPrefix(mapped, "//gateway.test")
			}
			u, err := url.Parse("https://gateway.test" + withSigns(mapped))
			if err != nil || u.Host != "gateway.test" || mapped[0] != '/' {
				t.Errorf("%q below %q became %q, which leads to another host", ref, prefix, mapped)
				continue
			}
			after, ok := strings.CutPrefix(mapped, prefix)
			if !ok || after != "" && !strings.ContainsRune("/?#", rune(after[0])) {
				t.Errorf("%q below %q became %q", ref, prefix, mapped)
			}
			for segment := range strings.SplitSeq(u.EscapedPath()[min(len(prefix), len(u.EscapedPath())):], "/") {
				if segment = rig.Unescape(segment); segment == "." || segment == ".." {
					t.Errorf("%q below %q became %q", ref, prefix, mapped)
				}
			}
		}
	})
}
