// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestResolveURL: what a value becomes in each place of a URL, and what no value can be there.
func TestResolveURL(t *testing.T) {
	t.Setenv("TEST_URL", "https://nas.example.com/api")
	for _, test := range []struct{ text, user, want string }{
		{"https://nas.example.com/api", "ann", "https://nas.example.com/api"},
		{"{env.TEST_URL}/login", "ann", "https://nas.example.com/api/login"},
		{"/users/{x.user}", "ann", "/users/ann"},
		{"/users/{x.user}", "ann@example.com", "/users/ann@example.com"},
		{"/users/{x.user}", "a/b?c#d%2e e", "/users/a%2Fb%3Fc%23d%252e%20e"},
		{"/users/{x.user}", "{env.TEST_URL}", "/users/%7Benv.TEST_URL%7D"},
		{"/users/{x.user}", "josé", "/users/jos%C3%A9"},
		{"/me?user={x.user}&a=b", "a&admin=1#+ é", "/me?user=a%26admin%3D1%23%2B%20%C3%A9&a=b"},
		{"https://h/login?p={x.user}", "p?/&=", "https://h/login?p=p%3F%2F%26%3D"},
		{"https://{x.user}/login", "nas.lan:8443", "https://nas.lan:8443/login"},
		{"https://{x.user}/login", "[::1]:8443", "https://[::1]:8443/login"},
		{"https://{x.user}.example.com/login", "tenant-1", "https://tenant-1.example.com/login"},
		// What is no value of these places.
		{"https://{x.user}/login", "evil.example/", ""},
		{"https://{x.user}.example.com/login", "evil.example#", ""},
		{"https://{x.user}.example.com/login", "evil.example?", ""},
		{"https://{x.user}.example.com/login", "ann@evil", ""},
		{"https://{x.user}.example.com/login", `evil\`, ""},
		{"/users/{x.user}/me", "..", ""},
		{"/users/{x.user}/me", ".", ""},
		{"/users/.{x.user}/me", ".", ""},
		{"/users/{x.user}/me", "../admin", ""},
		{"/users/{x.user}/me", "%2e%2e", ""},
		{"/users/{x.user}/me", `..\..`, ""},
		{"/users/{x.user}", "", ""},
		{"{env.NO_SUCH_VARIABLE}/x", "ann", ""},
		{"{x.user}/x", "https://h\r\n", ""},
	} {
		got, err := ResolveURL("verify", test.text, replacer(test.user))
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s of %q: %q, %v, want %q", test.text, test.user, got, err, test.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "verify: ") || len(test.user) > 2 && strings.Contains(err.Error(), test.user)) {
			t.Errorf("%s of %q: %v", test.text, test.user, err)
		}
	}
	if _, err := ResolveURL("url", "/users/{http.auth.user.id}", nil); err == nil {
		t.Error("a placeholder of a request is resolved without one")
	}
}

func replacer(user string) *caddy.Replacer {
	repl := caddy.NewReplacer()
	repl.Set("x.user", user)
	return repl
}

// FuzzResolveURL: whatever a value is, the URL has the host, the number of segments, the query's
// names and the other values that it has without it.
func FuzzResolveURL(f *testing.F) {
	for _, seed := range []string{"ann", "../..", "a/b", "a?b", "a#b", "a&b=c", "%2e%2e", "a;b", "a\\b", "\x00", "é", "+", "{x}", "a\tb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, user string) {
		text, err := ResolveURL("url", "https://h.example/users/{x.user}/me?a=1&user={x.user}&z=2", replacer(user))
		if err != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Host != "h.example" || strings.Count(u.EscapedPath(), "/") != 3 || u.Fragment != "" || EscapesBase(u.EscapedPath()) {
			t.Fatalf("%q: %q, %v", user, text, err)
		}
		if q := u.Query(); len(q) != 3 || q.Get("user") != user || q.Get("a") != "1" || q.Get("z") != "2" {
			t.Fatalf("%q: %q", user, text)
		}
	})
}
