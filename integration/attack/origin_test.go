// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// lower writes the names of fields as HTTP/2 and HTTP/3 do.
func lower(c client, fields [][2]string) [][2]string {
	if c.name() == "h1" {
		return fields
	}
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i][0] = strings.ToLower(fields[i][0])
	}
	return fields
}

// wantNoCORS fails the test if a page of another origin could read the response.
func wantNoCORS(t *testing.T, what string, header http.Header) {
	t.Helper()
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: the client got %s: %q", what, name, header[name])
		}
	}
}

// TestCrossOrigin sends what a browser sends for a page of another origin. Such a page would use
// the gateway's credential through its visitors' browsers.
func TestCrossOrigin(t *testing.T) {
	api := rig.NewAPI(t, func(string) string {
		return rig.Response("200 OK", "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n", "ok")
	})
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}")
	site := func(s string) [2]string { return [2]string{"Sec-Fetch-Site", s} }
	origin := func(s string) [2]string { return [2]string{"Origin", s} }
	form := [2]string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, c := range clients(t, g) {
		own := "http://" + g.plain
		if c.name() != "h1" {
			own = "https://" + g.tls
		}
		type visit struct {
			name   string
			method string
			fields [][2]string
		}
		var attacks []visit
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			for _, from := range []string{"https://evil.test", "null", "https://" + g.plain + ".evil.test", "http://127.0.0.1:1", "file://", own + ".evil.test", "evil"} {
				attacks = append(attacks,
					visit{"new browser", method, [][2]string{origin(from), site("cross-site"), form}},
					visit{"other site below one domain", method, [][2]string{origin(from), site("same-site"), form}},
					visit{"old browser", method, [][2]string{origin(from), form}},
				)
			}
			attacks = append(attacks,
				visit{"origin withheld", method, [][2]string{site("cross-site"), form}},
				visit{"two origins", method, [][2]string{origin(own), origin("https://evil.test"), form}},
				visit{"two origins, ours last", method, [][2]string{origin("https://evil.test"), origin(own), form}},
				visit{"odd site", method, [][2]string{origin("https://evil.test"), site("Same-Origin"), form}},
			)
		}
		for _, from := range []string{"https://evil.test", "null"} {
			attacks = append(attacks,
				visit{"preflight", "OPTIONS", [][2]string{origin(from), {"Access-Control-Request-Method", "PUT"}, {"Access-Control-Request-Headers", "x-a"}}},
				visit{"preflight of a new browser", "OPTIONS", [][2]string{origin(from), site("cross-site"), {"Access-Control-Request-Method", "GET"}}},
			)
			if c.name() == "h1" {
				for _, connection := range []string{"Upgrade", "upgrade", "keep-alive, Upgrade", "UPGRADE,close"} {
					attacks = append(attacks, visit{"WebSocket", "GET", [][2]string{
						origin(from), {"Connection", connection}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
					}})
				}
			}
		}
		for _, a := range attacks {
			r := c.do(request{method: a.method, target: "/x", fields: lower(c, a.fields), body: "a=b"})
			if r.status != http.StatusForbidden || r.problem() != "cross-origin" {
				t.Errorf("%s: %s %s %q: the client got %d %v %q", c.name(), a.name, a.method, a.fields, r.status, r.err, r.body)
			}
			wantNoCORS(t, a.name, r.header)
			wantNothing(t, api)
		}
		for _, twin := range []visit{
			{"no browser", "POST", [][2]string{form}},
			{"own page", "POST", [][2]string{origin(own), site("same-origin"), form}},
			{"own page, old browser", "POST", [][2]string{origin(own), form}},
			{"typed in", "GET", [][2]string{site("none")}},
			{"link on another page", "GET", [][2]string{site("cross-site"), {"Sec-Fetch-Mode", "navigate"}}},
			{"fetch without credentials of reading it", "GET", [][2]string{origin("https://evil.test"), site("cross-site"), {"Sec-Fetch-Mode", "cors"}}},
			{"OPTIONS that is no preflight", "OPTIONS", [][2]string{origin(own), site("same-origin")}},
		} {
			r := c.do(request{method: twin.method, target: "/x", fields: lower(c, twin.fields)})
			if r.status != http.StatusOK {
				t.Errorf("%s: %s: the client got %d %v", c.name(), twin.name, r.status, r.err)
			}
			wantNoCORS(t, twin.name, r.header)
			got := theRequest(t, api)
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Referer"} {
				got.wantNone(t, name)
			}
		}
	}
}

// TestAllowOrigin opens the route to one origin and tries it with others.
func TestAllowOrigin(t *testing.T) {
	const app = "https://app.example.com"
	for _, form := range []string{"base URL", "handler alone"} {
		t.Run(form, func(t *testing.T) {
			var answer answer
			api := rig.NewAPI(t, answer.give)
			site := "authenticated_api http://" + api.Addr + "/v1/public {\nauth bearer ours\nallow_origin " + app + "\n}"
			if form == "handler alone" {
				site = "authenticated_api {\nauth bearer ours\nallow_origin " + app + "\n}\nreverse_proxy " + api.Addr
			}
			g := start(t, "", site)
			const cors = "Access-Control-Allow-Origin: https://evil.test\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-A\r\n" +
				"access-control-allow-methods: *\r\nAccess-Control-Allow-Private-Network: true\r\n"
			answers := map[string]string{
				"length":          rig.Response("200 OK", cors+"X-Mine: 1\r\nVary: Accept\r\n", "ok"),
				"early hints":     "HTTP/1.1 103 Early Hints\r\n" + cors + "Link: </x>; rel=preload\r\nVary: X\r\n\r\n" + rig.Response("200 OK", "X-Mine: 1\r\n", "ok"),
				"chunked":         "HTTP/1.1 200 OK\r\n" + cors + "X-Mine: 1\r\nTransfer-Encoding: chunked\r\nTrailer: Access-Control-Allow-Origin, X-Sum\r\n\r\n2\r\nok\r\n0\r\nAccess-Control-Allow-Origin: https://evil.test\r\nX-Sum: 1\r\n\r\n",
				"silent trailers": "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nAccess-Control-Allow-Origin: https://evil.test\r\nX-Sum: 1\r\n\r\n",
				"204":             "HTTP/1.1 204 No Content\r\n" + cors + "X-Mine: 1\r\n\r\n",
				"404":             rig.Response("404 Not Found", cors+"X-Mine: 1\r\n", "no"),
			}
			for _, c := range clients(t, g) {
				for name, a := range answers {
					answer.set(a)
					for _, from := range []string{app, "", "https://evil.test", "https://app.example.com.evil.test", "http://app.example.com", "https://APP.example.com", "null"} {
						for _, method := range []string{"GET", "POST"} {
							var fields [][2]string
							if from != "" {
								fields = [][2]string{{"Origin", from}, {"Sec-Fetch-Site", "cross-site"}}
							}
							r := c.do(request{method: method, target: "/x", fields: lower(c, fields)})
							got := requests(t, api)
							what := c.name() + " " + name + " " + method + " from " + from
							if !slices.Contains(splitFields(r.header["Vary"]), "Origin") {
								t.Errorf("%s: Vary: %q", what, r.header["Vary"])
							}
							for _, interim := range r.interim {
								interim.Del("Access-Control-Allow-Credentials")
								if from == app && interim.Get("Access-Control-Allow-Origin") == app {
									interim.Del("Access-Control-Allow-Origin")
								}
								wantNoCORS(t, what+", interim", interim)
							}
							wantNoCORS(t, what+", trailers", r.trailer)
							if strings.Contains(strings.Join(r.header["Access-Control-Allow-Origin"], " "), "evil") {
								t.Errorf("%s: the client got %v", what, r.header)
							}
							if from != app {
								wantNoCORS(t, what, r.header)
								if foreign := from != "" && method == "POST"; foreign != (r.status == http.StatusForbidden) || foreign != (len(got) == 0) {
									t.Errorf("%s: the client got %d %v, the API %d requests", what, r.status, r.err, len(got))
								}
								continue
							}
							if len(got) != 1 || r.err != nil {
								t.Fatalf("%s: the client got %d %v, the API %d requests", what, r.status, r.err, len(got))
							}
							if o := r.header["Access-Control-Allow-Origin"]; len(o) != 1 || o[0] != app || r.header.Get("Access-Control-Allow-Credentials") != "true" {
								t.Errorf("%s: the client got %v", what, r.header)
							}
							if exposed := splitFields(r.header["Access-Control-Expose-Headers"]); !slices.Contains(exposed, "X-Mine") || len(r.header["Access-Control-Allow-Methods"]) > 0 {
								t.Errorf("%s: the client got %v", what, r.header)
							}
						}
					}
				}
				answer.set(rig.OK("ok"))
				r := c.do(request{method: "OPTIONS", target: "/x", fields: lower(c, [][2]string{
					{"Origin", app}, {"Access-Control-Request-Method", "PATCH"}, {"Access-Control-Request-Headers", "x-a, content-type,\"<evil>"},
				})})
				if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != app || r.header.Get("Access-Control-Allow-Credentials") != "true" ||
					r.header.Get("Access-Control-Allow-Methods") != "PATCH" || r.header.Get("Access-Control-Allow-Headers") != "x-a, content-type" ||
					!slices.Contains(splitFields(r.header["Vary"]), "Origin") {
					t.Errorf("%s: preflight: the client got %d %v %v", c.name(), r.status, r.err, r.header)
				}
				// A preflight carries no credential of the client's, so it must not carry ours.
				wantNothing(t, api)
				for _, from := range []string{"https://evil.test", "null", app + ".evil.test", app + ":8443"} {
					r := c.do(request{method: "OPTIONS", target: "/x", fields: lower(c, [][2]string{{"Origin", from}, {"Access-Control-Request-Method", "PATCH"}})})
					if r.status != http.StatusForbidden {
						t.Errorf("%s: preflight from %s: the client got %d %v", c.name(), from, r.status, r.err)
					}
					wantNoCORS(t, "preflight from "+from, r.header)
					wantNothing(t, api)
				}
				// The page can still read a refusal that has another reason.
				r = c.do(request{target: "/x/../y", fields: lower(c, [][2]string{{"Origin", app}})})
				if r.status != http.StatusBadRequest || r.header.Get("Access-Control-Allow-Origin") != app {
					t.Errorf("%s: bad path: the client got %d %v", c.name(), r.status, r.header)
				}
			}
		})
	}
}

func splitFields(values []string) (all []string) {
	for _, list := range values {
		for item := range strings.SplitSeq(list, ",") {
			all = append(all, strings.TrimSpace(item))
		}
	}
	return all
}
