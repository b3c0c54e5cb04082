// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// acting are fields of a response that act on the origin which sends them, each with such a value.
var acting = [][2]string{
	{"Set-Cookie", "session=evil"},
	{"Clear-Site-Data", `"*"`},
	{"Strict-Transport-Security", "max-age=31536000; includeSubDomains"},
	{"Alt-Svc", `h3="evil.test:443"`},
	{"Service-Worker-Allowed", "/"},
	{"Reporting-Endpoints", `a="https://evil.test/"`},
	{"Report-To", `{"url":"https://evil.test"}`},
	{"NEL", `{"report_to":"a"}`},
	{"WWW-Authenticate", `Basic realm="evil"`},
	{"Accept-CH", "Sec-CH-UA-Model"},
	{"Expect-CT", `max-age=86400, report-uri="https://evil.test/"`},
	{"Origin-Agent-Cluster", "?1"},
	{"Public-Key-Pins", `pin-sha256="evil"; max-age=86400`},
	{"Secure-Session-Registration", `(ES256);path="/evil"`},
	{"Set-Cookie2", "session=evil"},
	{"Set-Login", "logged-out"},
	{"Shared-Storage-Write", "clear"},
	{"Use-As-Dictionary", `match="/*"`},
	{"X-Permitted-Cross-Domain-Policies", "all"},

	// Orders to a server in front of the gateway.
	{"X-Accel-Redirect", "/internal/evil"},
	{"X-Accel-Expires", "86400"},
	{"X-Accel-Anything", "evil"},
	{"X-Sendfile", "/etc/evil"},
	{"X-Sendfile2", "/etc/evil 0-99"},
	{"X-LIGHTTPD-send-file", "/etc/evil"},
	{"X-Reproxy-URL", "http://127.0.0.1/evil"},
	{"X-LiteSpeed-Purge", "*"},
	{"Fly-Replay", "app=evil"},
}

// TestBuffering checks that what an API says about the streaming of its answer reaches the server
// in front.
func TestBuffering(t *testing.T) {
	api := rig.NewAPI(t, func(string) string { return rig.Response("200 OK", "X-Accel-Buffering: no\r\n", "ok") })
	for form, site := range sites(api, "") {
		r := (&h1Client{addr: start(t, "", site).plain}).do(request{target: "/x"})
		if got := r.header.Get("X-Accel-Buffering"); got != "no" {
			t.Errorf("%s: the client got %q", form, got)
		}
	}
}

func sites(api *rig.API, options string) map[string]string {
	return map[string]string{
		"base URL":      "authenticated_api http://" + api.Addr + "/v1/public {\nauth bearer ours\n" + options + "\n}",
		"handler alone": "authenticated_api {\nauth bearer ours\n" + options + "\n}\nreverse_proxy " + api.Addr,
	}
}

// TestActing lets the API send such fields: in the final response, in an interim one, and behind
// the body.
func TestActing(t *testing.T) {
	var answer answer
	api := rig.NewAPI(t, answer.give)
	var lines, names string
	for _, field := range acting {
		lines += field[0] + ": " + field[1] + "\r\n" + strings.ToLower(field[0]) + ": " + field[1] + "\r\n"
		names += ", " + field[0]
	}
	answers := map[string]string{
		"final":           rig.Response("200 OK", lines+"X-Mine: 1\r\n", "ok"),
		"401":             rig.Response("401 Unauthorized", lines+"X-Mine: 1\r\n", "ok"),
		"interim":         "HTTP/1.1 103 Early Hints\r\n" + lines + "X-Hint: 1\r\n\r\n" + rig.Response("200 OK", "X-Mine: 1\r\n", "ok"),
		"102":             "HTTP/1.1 102 Processing\r\n" + lines + "X-Hint: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n" + lines + "\r\n" + rig.Response("200 OK", lines+"X-Mine: 1\r\n", "ok"),
		"trailers":        "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum" + names + "\r\n\r\n2\r\nok\r\n0\r\n" + lines + "X-Sum: 1\r\n\r\n",
		"silent trailers": "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + lines + "X-Sum: 1\r\n\r\n",
		"empty body":      "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum" + names + "\r\n\r\n0\r\n" + lines + "X-Sum: 1\r\n\r\n",
	}
	for form, site := range sites(api, "") {
		t.Run(form, func(t *testing.T) {
			g := start(t, "", site)
			for _, c := range clients(t, g) {
				for name, a := range answers {
					answer.set(a)
					r := c.do(request{target: "/x"})
					if r.err != nil || r.header.Get("X-Mine") != "1" {
						t.Fatalf("%s %s: the client got %d %v %v", c.name(), name, r.status, r.err, r.header)
					}
					for _, header := range append([]http.Header{r.header, r.trailer}, r.interim...) {
						for _, field := range acting {
							for _, value := range header.Values(field[0]) {
								// Caddy announces its own HTTP/3.
								if field[0] == "Alt-Svc" && !strings.Contains(value, "evil") {
									continue
								}
								t.Errorf("%s %s: the client got %s: %s", c.name(), name, field[0], value)
							}
						}
					}
					if strings.Contains(name, "interim") && (len(r.interim) == 0 || r.interim[0].Get("X-Hint") != "1") {
						t.Errorf("%s %s: the interim responses %v", c.name(), name, r.interim)
					}
					if name == "trailers" && r.trailer.Get("X-Sum") != "1" {
						t.Errorf("%s %s: the trailers %v", c.name(), name, r.trailer)
					}
				}
			}
		})
	}
	for _, field := range acting {
		if field[0] == "Alt-Svc" {
			continue // Caddy's proxy removes it too
		}
		t.Run("pass "+field[0], func(t *testing.T) {
			for form, site := range sites(api, "pass_response_header "+field[0]) {
				g := start(t, "", site)
				for _, c := range clients(t, g)[:2] {
					answer.set(answers["final"])
					r := c.do(request{target: "/x"})
					for _, other := range acting {
						want := other == field
						if got := strings.Contains(strings.Join(r.header.Values(other[0]), " "), other[1]); got != want {
							t.Errorf("%s %s: the client got %s: %q", form, c.name(), other[0], r.header.Values(other[0]))
						}
					}
				}
			}
		})
	}
}

// TestChallenges lets the API ask for a password in the gateway's name, in all forms that a list
// of challenges can have.
func TestChallenges(t *testing.T) {
	var answer answer
	api := rig.NewAPI(t, answer.give)
	for form, site := range sites(api, "") {
		t.Run(form, func(t *testing.T) {
			g := start(t, "", site)
			for _, test := range []struct{ value, want string }{
				{`Bearer realm="x"`, `Bearer realm="x"`},
				{`Basic realm=x`, ``},
				{`basic`, ``},
				{`BASIC realm="x", charset="UTF-8"`, ``},
				{`Negotiate`, ``},
				{`Negotiate YII=`, ``},
				{`NTLM TlRMTVNTUAAC==`, ``},
				{`Digest realm="x", nonce="a, Bearer b", qop="auth"`, ``},
				{`Bearer realm="a, Basic b", Basic realm=x`, `Bearer realm="a, Basic b"`},
				{`Basic realm=x, Bearer realm="a", error="invalid_token"`, `Bearer realm="a", error="invalid_token"`},
				{`Bearer realm="a\", Basic b", error="x"`, `Bearer realm="a\", Basic b", error="x"`},
				{`Bearer, Basic`, `Bearer`},
				{`Basic, Bearer`, `Bearer`},
				{`,, Basic realm=x ,,Bearer`, `Bearer`},
				{`Custom a=b,Basic realm=x`, `Custom a=b`},
				{"Custom a = b,\tBasic\trealm=x", `Custom a = b`},
				{`DPoP algs="ES256 Basic"`, `DPoP algs="ES256 Basic"`},
				{`Basic realm="open`, ``},
				{`Bearer realm="open, Basic realm=x`, `Bearer realm="open, Basic realm=x`},
			} {
				for _, status := range []string{"401 Unauthorized", "200 OK", "403 Forbidden"} {
					answer.set(rig.Response(status, "WWW-Authenticate: "+test.value+"\r\n", "x"))
					r := (&h1Client{addr: g.plain}).do(request{target: "/x"})
					if got := strings.Join(r.header.Values("WWW-Authenticate"), ", "); got != test.want || r.err != nil {
						t.Errorf("%s: the client got %q, want %q", test.value, got, test.want)
					}
				}
			}
			answer.set(rig.Response("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\nwww-authenticate: Bearer\r\nWWW-Authenticate: Negotiate\r\n", "x"))
			if r := (&h1Client{addr: g.plain}).do(request{target: "/x"}); strings.Join(r.header["Www-Authenticate"], "|") != "Bearer" {
				t.Errorf("the client got %q", r.header["Www-Authenticate"])
			}
		})
	}
}

// TestRedirects lets the API redirect the request, and the credential with it, to another host.
func TestRedirects(t *testing.T) {
	evil := rig.NewAPI(t, nil)
	var answer answer
	api := rig.NewAPI(t, answer.give)
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}")
	for _, status := range []string{"300 Multiple Choices", "301 Moved Permanently", "302 Found", "303 See Other", "304 Not Modified", "305 Use Proxy", "307 Temporary Redirect", "308 Permanent Redirect", "201 Created"} {
		for _, location := range []string{"http://" + evil.Addr + "/v1/public/x", "//" + evil.Addr + "/x", "https://" + evil.Addr + "/"} {
			answer.set("HTTP/1.1 " + status + "\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n")
			for _, c := range clients(t, g) {
				for _, method := range []string{"GET", "POST"} {
					r := c.do(request{method: method, target: "/x", body: map[string]string{"POST": "a=b"}[method]})
					if fmt.Sprint(r.status) != status[:3] || r.header.Get("Location") != location {
						t.Errorf("%s %s %s: the client got %d %v %q", c.name(), method, status, r.status, r.err, r.header.Get("Location"))
					}
					theRequest(t, api)
				}
			}
		}
	}
	wantNothing(t, evil)
	if evil.Conns() > 0 {
		t.Error("a redirect was followed")
	}
}

// TestLinks lets the API answer with URLs: those below the base URL must lead to the gateway, all
// others away from it, and none of them may hold the credential.
func TestLinks(t *testing.T) {
	var answer answer
	api := rig.NewAPI(t, answer.give)
	base := "http://" + api.Addr + "/v1/public"
	_, port, _ := strings.Cut(api.Addr, ":")
	g := start(t, "", "handle_path /gh/* {\nauthenticated_api "+base+" {\nauth api_key api_key ours {\nin query\n}\n}\n}\n"+
		"handle_path /off/* {\nauthenticated_api "+base+" {\nname off\nauth api_key api_key ours {\nin query\n}\nmap_links off\n}\n}\n"+
		"handle {\nauthenticated_api "+base+" {\nname root\nauth api_key api_key ours {\nin query\n}\n}\n}")
	c := &h1Client{addr: g.plain}
	defer c.Close()
	gw := strings.NewReplacer("GW", g.plain)
	for _, test := range []struct{ ref, want string }{
		{base + "/items?page=2", "http://GW/gh/items?page=2"},
		{base + "/items?page=2&api_key=ours", "http://GW/gh/items?page=2"},
		{base + "/items?api_key=ours&page=2", "http://GW/gh/items?page=2"},
		{base + "/items?api_key=ours", "http://GW/gh/items"},
		{base + "/items?API%5fKEY=ours&a=b", "http://GW/gh/items?a=b"},
		{base + "/items?api_key[]=ours;api_key=ours&a=b#x", "http://GW/gh/items?a=b#x"},
		{base + "?api_key=ours", "http://GW/gh"},
		{base, "http://GW/gh"},
		{base + "/", "http://GW/gh/"},
		{"HTTP://" + api.Addr + "/v1/public/x", "http://GW/gh/x"},
		{"/v1/public/x?api_key=ours", "/gh/x"},
		{"/v1/public/x", "/gh/x"},
		{"/v1/public//evil.test/x", "/gh//evil.test/x"},
		{"/v1/publicity", "http://" + api.Addr + "/v1/publicity"},
		{"/v1/other?api_key=ours", "http://" + api.Addr + "/v1/other"},
		{"/", "http://" + api.Addr + "/"},
		{"/v1/public/../admin", "http://" + api.Addr + "/v1/admin"},
		{"../../admin", "http://" + api.Addr + "/admin"},
		{"/v1/public/%2e%2e/admin", "http://" + api.Addr + "/v1/public/%2e%2e/admin"},
		{"%2e%2E/%2e%2e/admin", "http://" + api.Addr + "/v1/public/%2e%2E/%2e%2e/admin"},
		{base + "/%2e%2e/x", base + "/%2e%2e/x"},
		{"../x", "http://" + api.Addr + "/v1/x"},
		{"y", "y"},
		{"?page=2&api_key=ours", "?page=2"},
		{"#x", "#x"},
		{"./y", "./y"},
		{"//" + api.Addr + "/v1/public/x", "//GW/gh/x"},
		{"//evil.test/v1/public/x?api_key=ours", "//evil.test/v1/public/x"},
		// An API may not know which server ends TLS for it.
		{"https://" + api.Addr + "/v1/public/x", "http://GW/gh/x"},
		{"https://127.0.0.1/v1/public/x", "https://127.0.0.1/v1/public/x"},
		{"http://127.0.0.1:" + port + "1/v1/public/x", "http://127.0.0.1:" + port + "1/v1/public/x"},
		{"http://" + api.Addr + ".evil.test/v1/public/x", "http://" + api.Addr + ".evil.test/v1/public/x"},
		{"http://ann@" + api.Addr + "/v1/public/x", "http://ann@" + api.Addr + "/v1/public/x"},
		{"http://evil.test/?u=" + base, "http://evil.test/?u=" + base},
		{"ftp://" + api.Addr + "/v1/public/x", "ftp://" + api.Addr + "/v1/public/x"},
		{"mailto:ann@example.com", "mailto:ann@example.com"},
		{base + "/a%2Fb%20c?d=%2F", "http://GW/gh/a%2Fb%20c?d=%2F"},
	} {
		for _, field := range []struct{ line, want string }{
			{"Location: %s", "%s"},
			{"Content-Location: %s", "%s"},
			{`Link: <%s>; rel="next"`, `<%s>; rel="next"`},
			{`Link: <https://other.test/>; title="a, <b>; c", < %s >; rel=next; title="\"<x>"`, `<https://other.test/>; title="a, <b>; c", <%s>; rel=next; title="\"<x>"`},
			{"Refresh: 5; url=%s", "5; url=%s"},
			{`Refresh: 0;URL="%s"`, `0;URL="%s"`},
			{"Refresh: 1, url = '%s'", "1, url = '%s'"},
			{"Refresh: 1 %s", "1 %s"},
		} {
			line := fmt.Sprintf(field.line, test.ref)
			name, _, _ := strings.Cut(line, ":")
			if name == "Refresh" && strings.ContainsAny(test.ref, ";") {
				continue // it ends there
			}
			answer.set(rig.Response("200 OK", line+"\r\n", "ok"))
			if got, want := c.do(request{target: "/gh/x"}).header.Get(name), gw.Replace(fmt.Sprintf(field.want, test.want)); got != want {
				t.Errorf("%s\nthe client got %q\nwant           %q", line, got, want)
			}
			// At the root of the gateway nothing was cut off. An empty path is none there, and one
			// that begins with // needs a host in front of it.
			want := strings.Replace(test.want, "GW/gh", "GW", 1)
			if want = strings.TrimPrefix(want, "/gh"); strings.HasSuffix(want, "//GW") {
				want += "/"
			} else if strings.HasPrefix(want, "//evil.test/x") {
				want = "http://GW" + want
			}
			if want = gw.Replace(fmt.Sprintf(field.want, want)); strings.HasPrefix(test.ref, "//evil") {
				want = gw.Replace(fmt.Sprintf(field.want, test.want))
			}
			if got := c.do(request{target: "/x"}).header.Get(name); got != want {
				t.Errorf("at the root: %s\nthe client got %q\nwant           %q", line, got, want)
			}
			if got := c.do(request{target: "/off/x"}).header.Get(name); strings.Contains(got, "ours") {
				t.Errorf("map_links off: %s: the client got %q", line, got)
			} else if !strings.Contains(line, "ours") && strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(strings.TrimPrefix(line, name+": "), " ", "") {
				t.Errorf("map_links off: %s: the client got %q", line, got)
			}
		}
	}
	// What would be read as a host stays unchanged, and leads to the API.
	answer.set(rig.Response("200 OK", "Location: /v1/public//evil.test/x\r\n", "ok"))
	for _, target := range []string{"/x", "//evil.test/x", "/%5cevil.test/x", `/\evil.test/x`} {
		got := c.do(request{target: target}).header.Get("Location")
		if strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
			t.Errorf("%s: the client is sent to %q", target, got)
		}
	}
}

// TestPagination walks through pages as GitHub's clients do: by the URL of rel="next".
func TestPagination(t *testing.T) {
	api := rig.NewAPI(t, nil)
	api.Answer = func(request string) string {
		page := "1"
		if _, after, ok := strings.Cut(request, "&page="); ok {
			page = after[:1]
		}
		if page == "3" {
			return rig.OK("page 3")
		}
		next := string(page[0] + 1)
		return rig.Response("200 OK", fmt.Sprintf("Link: <http://%s/v1/public/repos?per_page=1&page=%s&api_key=ours>; rel=\"next\", "+
			"<http://%[1]s/v1/public/repos?page=3>; rel=\"last\"\r\n", api.Addr, next), "page "+page)
	}
	g := start(t, "", "handle_path /gh/* {\nauthenticated_api http://"+api.Addr+"/v1/public {\nauth api_key api_key ours {\nin query\n}\n}\n}")
	for _, c := range clients(t, g) {
		target := "/gh/repos"
		for i, want := range []string{"page 1", "page 2", "page 3"} {
			r := c.do(request{target: target})
			if r.body != want {
				t.Fatalf("%s: page %d: the client got %d %q for %s", c.name(), i+1, r.status, r.body, target)
			}
			if next := r.header.Get("Link"); next != "" {
				target, _, _ = strings.Cut(strings.TrimPrefix(next, "<"), ">")
				u, err := url.Parse(target)
				if err != nil || u.Scheme == "" || u.Host == api.Addr {
					t.Fatalf("%s: the next page is at %q", c.name(), target)
				}
				target = u.RequestURI()
			}
		}
		for _, s := range requests(t, api) {
			if len(namedAlike(s.target[strings.Index(s.target, "?")+1:], "api_key")) != 1 || !strings.HasPrefix(s.target, "/v1/public/repos") {
				t.Errorf("the API got %s", s.target)
			}
		}
	}
}
