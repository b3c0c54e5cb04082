// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// FuzzLinks looks for a URL that an API can send so that the credential's parameter comes
// through, or that the mapping turns into one that leaves the gateway's prefix.
func FuzzLinks(f *testing.F) {
	for _, ref := range []string{
		"https://api.test/v1/public/x?api_key=s&page=2", "/v1/public//evil.test", "/v1/public/..//evil.test", "//api.test/v1/public/%2e%2e/x", `\\evil.test`,
		"https://api.test/v1/public;x", "https://api.test:443/v1/public?API%5fKEY[]=s", "?a=b;api_key=s#x?api_key=s", "/v1/public/x?next=%2Fy%3Fapi_key%3Ds", "http:/v1/public",
		"/v1/public/canary%2D7731/x", "https://other.test/?api_key=canary-7731&api_key=x", "/x;canary-7731?next=a%3Dcanary-7731%26b#canary-7731", "/v1/public/\t/evil.test", "https://api.test/v1/public/?a=%", "https:///v1/public/x", "https://api.test//v1/public/x", "/v1/public/./../public/x",
	} {
		f.Add(ref, "/gh", "/v1/public/y")
		f.Add(ref, "", "/v1/public/")
	}
	base, err := wire.ParseBaseURL("https://api.test/v1/public")
	if err != nil {
		f.Fatal(err)
	}
	root, err := wire.ParseBaseURL("https://api.test")
	if err != nil {
		f.Fatal(err)
	}
	cleaner := clean.NewResponses(clean.Carried{Param: "api_key"}, clean.NewRequests(clean.Own{Params: []string{"api_key"}}, nil), nil)
	sent := &clean.Sent{Secrets: secret.Lists{{"canary-7731"}}, Hosts: [3]string{"api.test"}}
	f.Fuzz(func(t *testing.T, ref, prefix, path string) {
		if strings.ContainsAny(ref, "\r\n\x00") || prefix != "" && prefix[0] != '/' || strings.ContainsAny(prefix, "?#\r\n") {
			return
		}
		if u, err := url.Parse("http://gateway" + prefix); err != nil || u.EscapedPath() != prefix {
			return // it is no prefix of a path that has reached the gateway
		}
		h := http.Header{"Location": {ref}}
		cleaner.Links(h, sent, nil)
		if got := h.Get("Location"); len(h["Location"]) != 1 || hasParameter(got) && !elsewhere(ref) {
			t.Errorf("%q: the credential's parameter came through: %q", ref, got)
		}
		cleaner.Secrets(h, sent)
		if got := h.Get("Location"); strings.Contains(decodeOnce(decodeOnce(got)), "canary-7731") || strings.Contains(got, "canary-7731") {
			t.Errorf("%q: the credential came through: %q", ref, got)
		}
		target, err := url.Parse("https://api.test" + path)
		if err != nil || !strings.HasPrefix(path, "/v1/public") {
			return
		}
		for _, base := range []*wire.BaseURL{base, root} {
			mapped := route(base, target, prefix).ToCaller(ref)
			if mapped == ref || strings.HasPrefix(mapped, "https://api.test") {
				continue // left alone, or made absolute
			}
			mapped = strings.TrimPrefix(mapped, "https://gateway.test")
			if strings.HasPrefix(ref, "//") {
				mapped = strings.TrimPrefix(mapped, "//gateway.test")
			}
			u, err := url.Parse("https://gateway.test" + mapped)
			if err != nil || u.Host != "gateway.test" || mapped[0] != '/' {
				t.Errorf("%q below %q became %q, which leads to another host", ref, prefix, mapped)
				continue
			}
			after, ok := strings.CutPrefix(mapped, prefix)
			if !ok || after != "" && !strings.ContainsRune("/?#", rune(after[0])) {
				t.Errorf("%q below %q became %q", ref, prefix, mapped)
			}
			for segment := range strings.SplitSeq(u.EscapedPath()[min(len(prefix), len(u.EscapedPath())):], "/") {
				if segment = decodeOnce(segment); segment == "." || segment == ".." {
					t.Errorf("%q below %q became %q", ref, prefix, mapped)
				}
			}
		}
	})
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
	base, err := wire.ParseBaseURL("https://api.test/v1/public")
	if err != nil {
		f.Fatal(err)
	}
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
		if err == nil && err2 == nil && decodeOnce(strings.TrimSuffix(u.Path, "/")) != decodeOnce(strings.TrimSuffix(before.Path, "/")) {
			t.Errorf("%q became %q, and that %q", ref, to, back)
		}
	})
}

// route returns the way of a request for target, from a caller that has called
// https://gateway.test.
func route(base *wire.BaseURL, target *url.URL, prefix string) *link.Route {
	path := strings.TrimPrefix(target.EscapedPath(), "/v1/public")
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	return &link.Route{Base: base, Origin: "https://gateway.test", Hosts: [2]string{"gateway.test"}, Prefix: prefix, Known: true, Path: path, Sent: target}
}

// elsewhere reports whether a URL is not the API's. There, a parameter of that name is not the
// gateway's business.
func elsewhere(ref string) bool {
	u, err := url.Parse(ref)
	return err == nil && (u.Scheme != "" || u.Host != "") && u.Hostname() != "api.test"
}

// hasParameter reports whether the query of a URL has the parameter api_key in any spelling.
func hasParameter(ref string) bool {
	before, _, _ := strings.Cut(ref, "#")
	_, query, _ := strings.Cut(before, "?")
	return len(namedAlike(query, "api_key")) > 0
}

// FuzzHeaders sends header lines and a query of the fuzzer's through a whole gateway: whatever
// the API gets has everything of ours once, and nothing in its place.
func FuzzHeaders(f *testing.F) {
	for _, lines := range []string{
		"X-Api-Key: evil\r\n", "Connection: x-api-key, close\r\n", "x_api_key: evil\r\nX-Env: \r\n", "Transfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n", "X-Other: a\r\n b\r\n",
		"Upgrade: h2c\r\nConnection: Upgrade\r\n", "Expect: 100-continue\r\n", "Content-Length: 3\r\n", "Host: evil.test\r\n", "Te: trailers\r\n",
	} {
		f.Add("/x", "env=evil&a=b", lines, "")
		f.Add("/%2e%2e/x", "ENV[]=evil;x", lines, "3\r\nabc\r\n0\r\nX-Api-Key: evil\r\n\r\n")
	}
	api := rig.NewAPI(f, nil)
	g := start(f, "", everything(api))
	f.Fuzz(func(t *testing.T, path, query, lines, body string) {
		if strings.ContainsAny(path+query, " \r\n\x00") || !strings.HasPrefix(path, "/") {
			return
		}
		// The connection ends here, so that nothing waits for the rest of an incomplete request.
		raw := "POST " + path + "?" + query + " HTTP/1.1\r\nHost: " + g.plain + "\r\n" + lines + "\r\n" + body
		exchange(t, g.plain, raw)
		for _, s := range requests(t, api) {
			for _, field := range oursFields {
				s.wantOne(t, field[0], field[1])
			}
			if got := s.alike("X-Appsmith-Signature"); len(got) != 1 || !strings.HasPrefix(got[0], "eyJ") {
				t.Errorf("the API got the signatures %q", got)
			}
			for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-For", "X-Gone", "Via"} {
				s.wantNone(t, name)
			}
			s.wantOne(t, "Host", api.Addr)
			s.wantFraming(t)
			if leaves(s.path()) {
				t.Errorf("the API got %q", s.target)
			}
			_, query, _ := strings.Cut(s.target, "?")
			if found := namedAlike(query, "env"); len(found) != 1 || found[0] != "env=prod" {
				t.Errorf("the API got %q", s.target)
			}
			_, trailers, _ := strings.Cut(s.body, "\r\n0\r\n")
			for line := range strings.SplitSeq(trailers, "\r\n") {
				name, _, _ := strings.Cut(line, ":")
				switch cgiName(name) {
				case "X_API_KEY", "X_ENV", "X_TAG", "X_GONE", "X_APPSMITH_SIGNATURE", "AUTHORIZATION", "CONTENT_LENGTH", "TRANSFER_ENCODING", "HOST":
					t.Errorf("the API got the trailer %q", line)
				}
			}
		}
	})
}
