// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func parseBase(t *testing.T, s string) *wire.BaseURL {
	t.Helper()
	b, err := wire.ParseBaseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseBaseURL(t *testing.T) {
	for _, tt := range []struct {
		url, host, origin, name, text string
		tls                           bool
	}{
		{"https://api.example", "api.example", "https://api.example", "api-example", "https://api.example", true},
		{"https://api.example/", "api.example", "https://api.example", "api-example", "https://api.example", true},
		{"http://api.example/v2/", "api.example", "http://api.example", "api-example", "http://api.example/v2", false},
		{"https://API.Example/V2", "api.example", "https://api.example", "api-example", "https://api.example/V2", true},
		// The scheme's own port is no part of the Host field (RFC 9110 §7.2), nor of the name.
		{"https://api.example:443", "api.example", "https://api.example", "api-example", "https://api.example", true},
		{"http://api.example:80", "api.example", "http://api.example", "api-example", "http://api.example", false},
		{"http://api.example:443", "api.example:443", "http://api.example:443", "api-example-443", "http://api.example:443", false},
		{"https://api.example:8443/a", "api.example:8443", "https://api.example:8443", "api-example-8443", "https://api.example:8443/a", true},
		{"http://127.0.0.1:9000", "127.0.0.1:9000", "http://127.0.0.1:9000", "127-0-0-1-9000", "http://127.0.0.1:9000", false},
		{"http://[::1]", "[::1]", "http://[::1]", "1", "http://[::1]", false},
		{"http://[2001:DB8::1]:81/", "[2001:db8::1]:81", "http://[2001:db8::1]:81", "2001-db8--1-81", "http://[2001:db8::1]:81", false},
		{"http://_dmarc.example", "_dmarc.example", "http://_dmarc.example", "dmarc-example", "http://_dmarc.example", false},
		{"https://xn--bcher-kva.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example", "xn--bcher-kva-example", "https://xn--bcher-kva.example", true},
		{"https://api.example:65535?key=s3cr3t", "api.example:65535", "https://api.example:65535", "api-example-65535", "https://api.example:65535", true},
		{"https://api.example/a%2Fb//c/?key=s3cr3t", "api.example", "https://api.example", "api-example", "https://api.example/a%2Fb//c", true},
		{"https://api.example/.well-known/a..b", "api.example", "https://api.example", "api-example", "https://api.example/.well-known/a..b", true},
	} {
		b, err := wire.ParseBaseURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if b.Host() != tt.host || b.Origin() != tt.origin || b.Name() != tt.name || b.TLS() != tt.tls || b.String() != tt.text {
			t.Errorf("%s: Host %q, Origin %q, Name %q, TLS %t, String %q", tt.url, b.Host(), b.Origin(), b.Name(), b.TLS(), b)
		}
	}

	// A name must fit where the Caddyfile's names do.
	if got := parseBase(t, "https://"+strings.Repeat("a", 70)+".example").Name(); got != strings.Repeat("a", 63) {
		t.Errorf("the name of a long host is %q", got)
	}
}

func TestParseBaseURLErrors(t *testing.T) {
	for _, tt := range []struct{ url, hint string }{
		{"", "https://"},
		{"api.example", "https://"},
		{"api.example:443", "https://"},
		{"//api.example", "https://"},
		{"ftp://api.example", "https://"},
		{"HTTPS://api.example", "https://"},
		{" https://api.example", "https://"},
		{"unix//run/api.sock", "https://"},
		{"https:", "https://"},
		{"https://", "host"},
		{"https:///v2", "host"},
		{"https://:443", "host"},
		{"https://?a=b", "host"},
		{"https://api.example:", "port"},
		{"https://api.example:/v2", "port"},
		{"https://api.example:0", "port"},
		{"https://api.example:65536", "port"},
		{"https://api.example:99999999999999999999", "port"},
		{"https://api.example:https", "URL"},
		{"https://[::1", "URL"},
		{"https://api example", "URL"},
		{"https://api.example/%zz", "URL"},
		{"https://api.example/a\tb", "URL"},
		{"https://api.example/a\nb", "line break"},
		{"https://api.example\r\nX: y", "line break"},
		{"https://api.example\x00", "NUL"},
		{"https://a,b.example", "host name"},
		{"https://*.example", "host name"},
		// Neither a name in DNS nor the name of a datasource can be made of these.
		{"https://bücher.example", "xn--"},
		{"https://___", "host name"},
		{"https://ann:s3cr3t@api.example", "auth basic"},
		{"https://ann:s3cr3t@", "auth basic"},
		{"https://s3cr3t@api.example/v2", "auth basic"},
		{"https://ann:s3%r3t-s3cr3t@api.example", "URL"},
		{"https://ann:s3cr3t@api.example:x", "URL"},
		{"https://ann:s3cr3t#x@api.example", "URL"},
		{"https://api.example#x", "fragment"},
		{"https://api.example/v2#", "fragment"},
		{"https://api.example/?a=b#c", "fragment"},
		{"https://{env.HOST}/v2", "placeholder"},
		{"https://api.example/{env.PATH}", "{$NAME}"},
		{"https://api.example/{{path}}", "{{"},
		{"https://api.example/a}", "placeholder"},
		{"https://api.example/v2/..", ".."},
		{"https://api.example/./v2", ".."},
		{"https://api.example/v2/%2e%2e/x", ".."},
		{"https://api.example/v2;x/..;y/", ".."},
		// A blank would end the target on the request line (RFC 9112 §3).
		{"https://api.example/v2?q=a b", "%20"},
	} {
		b, err := wire.ParseBaseURL(tt.url)
		switch {
		case err == nil:
			t.Errorf("%q passes", tt.url)
		case b != nil:
			t.Errorf("%q: a URL along with an error", tt.url)
		case !strings.HasPrefix(err.Error(), "base URL: "):
			t.Errorf("%q: %q does not begin with the option", tt.url, err)
		case !strings.Contains(err.Error(), tt.hint):
			t.Errorf("%q: %q does not say %q", tt.url, err, tt.hint)
		case strings.Contains(err.Error(), "s3cr3t"):
			t.Errorf("%q: %q shows the password", tt.url, err)
		}
	}
}

// What counts is what net/http writes on the request line, RequestURI, not how the URL looks in
// memory.
func TestJoin(t *testing.T) {
	for _, tt := range []struct{ base, target, want string }{
		{"", "/", "/"},
		{"", "/a", "/a"},
		{"/", "/a", "/a"},
		{"/v2", "/", "/v2/"},
		{"/v2/", "/", "/v2/"},
		{"/v2", "/a", "/v2/a"},
		{"/v2/", "/a", "/v2/a"},
		{"/v2//", "/a", "/v2/a"},
		{"/v2", "/a/", "/v2/a/"},
		{"/v2", "//", "/v2//"},
		{"/v2", "//x", "/v2//x"},
		{"", "//x", "//x"},
		{"", "//x/a?b", "//x/a?b"},
		{"/v2", "/a//b", "/v2/a//b"},
		// The client's escapes, RFC 3986 §2.3: / and %2F are not the same.
		{"/v2", "/a%2Fb", "/v2/a%2Fb"},
		{"/v2", "/a%2fb", "/v2/a%2fb"},
		{"/v2", "/a%20b", "/v2/a%20b"},
		{"/v2", "/a+b", "/v2/a+b"},
		{"/v2", "/%41", "/v2/%41"},
		{"/v2", "/a%252fb", "/v2/a%252fb"},
		{"/v2", "/100%25", "/v2/100%25"},
		{"/v2", "/a;v=1,2", "/v2/a;v=1,2"},
		{"/v2", "/a:b@c&d=e$f", "/v2/a:b@c&d=e$f"},
		{"/v2", "/caf%C3%A9", "/v2/caf%C3%A9"},
		{"/v2", "/%ff", "/v2/%ff"},
		// Not valid in a URL, but sent by clients and read by servers.
		{"", "/a|b", "/a|b"},
		{"/v2", "/a|b", "/v2/a|b"},
		{"/v2", "/a|b%2Fc", "/v2/a|b%2Fc"},
		{"/v2", "/a|b?c=d", "/v2/a|b?c=d"},
		{"/v2", `/a"<>^{}b`, `/v2/a"<>^{}b`},
		{"/v2", `/a\b`, `/v2/a\b`},
		{"/v2", "/caf\xc3\xa9", "/v2/caf\xc3\xa9"},
		{"/v2", "/\xff|", "/v2/\xff|"},
		{"/v2", "//a|b", "/v2//a|b"},
		{"/a%2Fb", "/c|d", "/a%2Fb/c|d"},
		// A leading // would be an authority there, so what is invalid is escaped.
		{"", "//a|b", "//a%7Cb"},
		{"", "//a%2fb|\xff", "//a%2fb%7C%FF"},
		// HTTP/2 can carry a raw blank. On the request line of HTTP/1.1 it would end the target
		// (RFC 9112 §3): a lenient server would see /v2/.. in the second.
		{"/v2", "/a b", "/v2/a%20b"},
		{"/v2", "/.. HTTP/1.1", "/v2/..%20HTTP/1.1"},
		{"", "/a |b", "/a%20|b"},
		// The base URL's own escapes.
		{"/a%2Fb", "/c", "/a%2Fb/c"},
		{"/a%2fb/", "/c%2Fd", "/a%2fb/c%2Fd"},
		{"/a%20b", "/c", "/a%20b/c"},
		{"/a b", "/c", "/a%20b/c"},
		{"/%41", "/%42", "/%41/%42"},
		{"/a%2F", "/c", "/a%2F/c"},
		{"/caf\xc3\xa9", "/c", "/caf%C3%A9/c"},
		// Queries: the base URL's first, so that a server that takes the first of two takes ours.
		{"/v2", "/a?b=c", "/v2/a?b=c"},
		{"/v2", "/a?b=%2F+%20;c|d", "/v2/a?b=%2F+%20;c|d"},
		{"/v2", "/a?", "/v2/a?"},
		{"/v2?k=1", "/a", "/v2/a?k=1"},
		{"/v2?k=1", "/a?", "/v2/a?k=1"},
		{"/v2?k=1", "/a?b=c", "/v2/a?k=1&b=c"},
		{"?k=%2F;+", "/", "/?k=%2F;+"},
		{"/v2?k=1", "/a|b?c", "/v2/a|b?k=1&c"},
	} {
		u, err := url.ParseRequestURI(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		before := *u
		b := parseBase(t, "https://api.example"+tt.base)
		if got := b.Join(u).RequestURI(); got != tt.want {
			t.Errorf("base %q, target %q: got %q, want %q", tt.base, tt.target, got, tt.want)
		}
		if *u != before {
			t.Errorf("base %q, target %q: the request's own URL was changed", tt.base, tt.target)
		}
	}
}

// Handlers in front of this one may have rewritten the URL.
func TestJoinRewritten(t *testing.T) {
	for _, tt := range []struct {
		base string
		url  url.URL
		want string
	}{
		{"", url.URL{}, "/"},
		{"", url.URL{Path: "a"}, "/a"},
		{"/v2", url.URL{}, "/v2"},
		{"/v2", url.URL{Path: "a"}, "/v2/a"},
		{"/v2", url.URL{Path: "a/b", RawPath: "a%2Fb"}, "/v2/a%2Fb"},
		{"/v2", url.URL{RawQuery: "a=b"}, "/v2?a=b"},
		{"/v2", url.URL{Path: "/a b"}, "/v2/a%20b"},
		{"/v2", url.URL{Path: "/a?b#c"}, "/v2/a%3Fb%23c"},
		{"/v2", url.URL{Path: "/a", Opaque: "//evil.example/x"}, "/v2/a"},
		{"", url.URL{Path: "/a", Opaque: "//evil.example/x"}, "/a"},
		// A hint that does not decode to the path says nothing, and must not cost the base URL its
		// escapes.
		{"/v2", url.URL{Path: "/a", RawPath: "/other%2Fpath"}, "/v2/a"},
		{"/x%2Fy", url.URL{Path: "/a", RawPath: "/other%2Fpath"}, "/x%2Fy/a"},
		{"/x%2Fy", url.URL{Path: "/a", RawPath: "/%zz"}, "/x%2Fy/a"},
	} {
		if got := parseBase(t, "https://api.example"+tt.base).Join(&tt.url).RequestURI(); got != tt.want {
			t.Errorf("base %q, %#v: got %q, want %q", tt.base, tt.url, got, tt.want)
		}
	}
}

func TestJoinWithoutBasePath(t *testing.T) {
	b := parseBase(t, "https://api.example")
	u, err := url.ParseRequestURI("/a/b?c=d")
	if err != nil {
		t.Fatal(err)
	}
	if b.Join(u) != u {
		t.Error("a URL that needs no change was copied")
	}
	if n := testing.AllocsPerRun(100, func() { b.Join(u) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEscapedPath(t *testing.T) {
	for target, want := range map[string]string{
		"/":           "/",
		"/a%2Fb":      "/a%2Fb",
		"/a|%2e%2e":   "/a|%2e%2e", // net/url would show %2e%2e decoded
		`/a\..%2f`:    `/a\..%2f`,
		"/\xff%41":    "/\xff%41",
		"/a%41?b=%2e": "/a%41",
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.EscapedPath(u); got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
	}
	if got := wire.EscapedPath(&url.URL{Path: "/a", RawPath: "/b|c"}); got != "/a" {
		t.Errorf("a hint that does not decode to the path: got %q", got)
	}
}

// What arrives is the base URL's path and then the client's bytes.
func FuzzJoin(f *testing.F) {
	for _, base := range []string{"", "/v2", "/a%2Fb/", "/v2?k=1"} {
		for _, target := range []string{
			"/", "/a", "//x", "/a%2Fb%20c+d", "/a|b", "/\xff", "//a|b", "/a//b/", "/a?b=c", "/a?", "/a b", "/#", "/%41;v", `/\`, "/a%00",
		} {
			f.Add(base, target)
		}
	}
	f.Fuzz(func(t *testing.T, base, target string) {
		b, err := wire.ParseBaseURL("https://api.example" + base)
		if err != nil || b.Host() != "api.example" {
			t.Skip("no base path")
		}
		// This is how net/http reads a request line.
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" || u.Path[0] != '/' || u.Scheme != "" {
			t.Skip("the handler refuses it")
		}
		path, query, hasQuery := strings.Cut(target, "?")
		query = strings.NewReplacer(" ", "%20", "#", "%23").Replace(query) // see TestJoinQueryBlank
		_, baseQuery, _ := strings.Cut(base, "?")
		if baseQuery != "" && query != "" {
			baseQuery += "&"
		}
		want := strings.TrimPrefix(b.String(), "https://api.example") + strings.NewReplacer(" ", "%20", "#", "%23").Replace(path)
		if query = baseQuery + query; query != "" || hasQuery {
			want += "?" + query
		}
		got := b.Join(u).RequestURI()
		if strings.HasPrefix(want, "//") {
			got, want = percentDecode(got), percentDecode(want)
		}
		if got != want {
			t.Errorf("base %q, target %q: got %q, want %q", base, target, got, want)
		}
	})
}

// TestJoinQueryBlank has what an HTTP/2 client can put into a query and HTTP/1.1 cannot carry in
// its request line.
func TestJoinQueryBlank(t *testing.T) {
	base, err := wire.ParseBaseURL("https://api.example.com/v2")
	if err != nil {
		t.Fatal(err)
	}
	got := base.Join(&url.URL{Path: "/a", RawQuery: "b=c HTTP/1.1\tx#/../d"}).RequestURI()
	if want := "/v2/a?b=c%20HTTP/1.1%09x%23/../d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
