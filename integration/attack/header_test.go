// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// oursFields are all the fields that the route everything puts on a request.
var oursFields = [][2]string{
	{"X-Api-Key", "ours"}, {"X-Env", "prod"}, {"X-Op", "operator"}, {"X-Tag", "tag"},
}

// everything is a route that puts all kinds of values on requests: a credential, a signature,
// headers of the datasource and of the proxy, and query parameters.
func everything(api *rig.API) string {
	return "authenticated_api http://" + api.Addr + `/v1/public {
	auth api_key X-Api-Key ours
	signature 0123456789abcdef0123456789abcdef
	header X-Env prod
	header X-Tag tag
	header -X-Gone
	query env prod
	header_up X-Op operator
}`
}

// withoutBase is everything with a proxy of the user's own behind the handler.
func withoutBase(api *rig.API) string {
	return `authenticated_api {
	auth api_key X-Api-Key ours
	signature 0123456789abcdef0123456789abcdef
	header X-Env prod
	header X-Tag tag
	header -X-Gone
	query env prod
}
reverse_proxy ` + api.Addr + ` {
	header_up X-Op operator
}`
}

// withTransport is withoutBase with our transport in that proxy.
func withTransport(api *rig.API) string {
	return strings.Replace(withoutBase(api), "header_up", "transport authenticated_api\n\theader_up", 1)
}

var forms = []struct {
	name string
	site func(*rig.API) string
}{{"base URL", everything}, {"handler alone", withoutBase}, {"handler and transport", withTransport}}

// wantEverything fails the test unless the request has each of our values once, and no client's
// value in its place.
func wantEverything(t *testing.T, s sent) {
	t.Helper()
	for _, field := range oursFields {
		s.wantOne(t, field[0], field[1])
	}
	if got := s.alike("X-Appsmith-Signature"); len(got) != 1 || !strings.HasPrefix(got[0], "eyJ") {
		t.Errorf("the API got the signatures %q:\n%s", got, s.raw)
	}
	for _, name := range []string{"X-Gone", "Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-For"} {
		s.wantNone(t, name)
	}
	// A proxy that does not have our transport adds its own.
	if via := s.alike("Via"); len(via) > 1 || len(via) == 1 && !strings.HasSuffix(via[0], " Caddy") || strings.HasPrefix(s.target, "/v1/") && len(via) > 0 {
		t.Errorf("the API got Via: %q", via)
	}
	if strings.Count(s.target, "env=prod") != 1 || strings.Contains(s.target, "evil") {
		t.Errorf("the API got %q", s.target)
	}
	if strings.Contains(s.raw, "evil") {
		t.Errorf("something of the client's came through:\n%s", s.raw)
	}
	s.wantFraming(t)
}

// TestConnection names each of our fields in Connection, by which a client tells a proxy what to
// remove.
func TestConnection(t *testing.T) {
	names := []string{"X-Appsmith-Signature", "Authorization", "Host", "Content-Length", "Via", "X-Forwarded-For"}
	for _, field := range oursFields {
		names = append(names, field[0])
	}
	var headers [][][2]string
	for _, name := range names {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name), " " + name + "\t", strings.ReplaceAll(name, "-", "_")} {
			for _, list := range []string{"%s", "%s, close", "close, %s", "keep-alive,%s,x", "x,,%[1]s,,%[1]s", "\"%s\"", "%s;q=1"} {
				value := fmt.Sprintf(list, spelled)
				headers = append(headers,
					[][2]string{{"Connection", value}},
					[][2]string{{"connection", "x"}, {"CONNECTION", value}},
					[][2]string{{"Proxy-Connection", value}, {"Keep-Alive", value}},
				)
			}
		}
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			g := start(t, "", form.site(api))
			h1 := &h1Client{addr: g.plain}
			defer h1.Close()
			for _, header := range thin(headers, 7) {
				if r := h1.do(request{target: "/x", fields: header}); r.status != http.StatusOK {
					t.Fatalf("%q: the client got %d %v", header, r.status, r.err)
				}
				wantEverything(t, theRequest(t, api))
				if t.Failed() {
					t.Fatalf("with %q", header)
				}
			}
			// Connection does its work here. Otherwise there would be no attack.
			h1.do(request{target: "/x", fields: [][2]string{{"Connection", "x-mine"}, {"X-Mine", "1"}, {"X-Other", "2"}}})
			got := theRequest(t, api)
			got.wantNone(t, "X-Mine")
			got.wantOne(t, "X-Other", "2")

			// HTTP/2 and HTTP/3 have no such field (RFC 9113 §8.2.2, RFC 9114 §4.2).
			for _, c := range clients(t, g)[1:] {
				for _, header := range headers[:60] {
					fields := make([][2]string, len(header))
					for i := range header {
						fields[i] = [2]string{strings.ToLower(header[i][0]), strings.TrimSpace(header[i][1])}
					}
					r := c.do(request{target: "/x", fields: fields})
					got := requests(t, api)
					if len(got) == 0 && !r.refused() {
						t.Fatalf("%s %q: the client got %d %v", c.name(), fields, r.status, r.err)
					}
					for _, s := range got {
						wantEverything(t, s)
					}
				}
			}
		})
	}
}

// spellings are the names that some API takes for name.
func spellings(name string) []string {
	swapped := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, name)
	all := []string{name, strings.ToLower(name), strings.ToUpper(name), swapped}
	if strings.Contains(name, "-") {
		for _, dash := range []string{"_", ".", "!", "~", "*", "|", "+", "'", "^", "`", "#", "$", "%", "&"} {
			all = append(all, strings.ReplaceAll(name, "-", dash), strings.ToLower(strings.Replace(name, "-", dash, 1)))
		}
	}
	return all
}

// TestCopies sends the client's own copies of what the gateway sends, and of what is withheld.
func TestCopies(t *testing.T) {
	names := []string{
		"X-Appsmith-Signature", "X-Gone", "Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "Via", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Env", "X-Tag", "X-Api-Key", "X-Op",
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
	}
	var headers [][][2]string
	for _, name := range names {
		for _, spelled := range spellings(name) {
			if name == "X-Op" && strings.ContainsAny(spelled, "_.!~*|+'^`#$%&") {
				continue // header_up is Caddy's: it replaces the field of that name, and no other
			}
			headers = append(headers, [][2]string{{spelled, "evil"}})
			if strings.ContainsAny(spelled, "!~*|+'^`#$%&") {
				continue
			}
			headers = append(headers,
				[][2]string{{spelled, ""}},
				[][2]string{{spelled, "evil"}, {spelled, "evil2"}},
				[][2]string{{name, "evil"}, {spelled, "evil2"}, {"X-Between", "1"}, {spelled, ""}},
			)
		}
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			g := start(t, "", form.site(api))
			for _, c := range clients(t, g) {
				for _, header := range thin(headers, 7) {
					fields := header
					if c.name() != "h1" {
						fields = slices.Clone(header)
						for i := range fields {
							fields[i][0] = strings.ToLower(fields[i][0])
						}
					}
					if r := c.do(request{target: "/x", fields: fields}); r.status != http.StatusOK {
						t.Fatalf("%s %q: the client got %d %v", c.name(), fields, r.status, r.err)
					}
					wantEverything(t, theRequest(t, api))
					if t.Failed() {
						t.Fatalf("%s, with %q", c.name(), fields)
					}
				}
				// Names that only resemble ours arrive.
				for _, name := range []string{"x-api-keys", "xx-api-key", "x-apikey", "authorization-x", "x-cookie"} {
					c.do(request{target: "/x", fields: [][2]string{{name, "mine"}}})
					theRequest(t, api).wantOne(t, name, "mine")
				}
			}

			// Bytes that no name can have: the request is refused, or the field has a name that no
			// server reads as ours.
			h1, h2, h3 := &h1Client{addr: g.plain}, &h2Client{addr: g.tls}, &h3Client{addr: g.tls}
			defer h1.Close()
			defer h2.Close()
			defer h3.Close()
			for _, line := range []string{
				"X-Api-Key : evil", "X-Api-Key\t: evil", "X-Api-Key\x00: evil", "X-Api-Key\x0b: evil", " X-Api-Key: evil", "\tX-Api-Key: evil",
				"X-Other: a\r\n X-Api-Key: evil", "X-Other: a\r\n\tX-Api-Key: evil", "X-Other: a\nX-Api-Key: evil", "X-Other: a\rX-Api-Key: evil",
				"X-Other: a\r\r\nX-Api-Key: evil", "X-Api\r\n-Key: evil", ": evil", "X-Api-Key evil", "X-Api-Key:evil", "X-Api-Key:\r\n evil",
				"X-Api\xadKey: evil", "Х-Api-Key: evil",
			} {
				r := h1.raw(http.MethodGet, "GET /x HTTP/1.1\r\nHost: "+g.plain+"\r\n"+line+"\r\n\r\n")
				got := requests(t, api)
				if len(got) == 0 && !r.refused() {
					t.Errorf("%q: the client got %d %v", line, r.status, r.err)
				}
				for _, s := range got {
					// A folded line is part of the previous line's value (RFC 9112 §5.2). The API
					// gets one line.
					s.raw = strings.ReplaceAll(s.raw, "X-Other: a X-Api-Key: evil", "")
					wantEverything(t, s)
				}
				h1.Close()
			}
			for _, c := range []client{h2, h3} {
				for _, field := range [][2]string{
					{"X-Api-Key", "evil"},
					{"x-api-key ", "evil"},
					{"x-api-key:", "evil"},
					{"x-other: a\r\nx-api-key", "evil"},
					{"", "evil"},
					{"x-other", "a\r\nX-Api-Key: evil"},
					{"x-other", "a\nX-Api-Key: evil"},
					{"x-other", "a\x00evil"},
					{":x-api-key", "evil"},
					{"x\x00api-key", "evil"},
					{"x-api-key\n", "evil"},
				} {
					r := c.do(request{target: "/x", fields: [][2]string{field}})
					if !r.refused() {
						t.Errorf("%s %q: the client got %d %v", c.name(), field, r.status, r.err)
					}
					wantNothing(t, api)
				}
			}
		})
	}
}

// TestTrailers sends the same fields as trailers.
func TestTrailers(t *testing.T) {
	names := []string{
		"X-Api-Key", "X-Appsmith-Signature", "X-Env", "X-Tag", "X-Gone", "Authorization", "Proxy-Authorization", "Cookie", "Forwarded",
		"X-Forwarded-For", "Via", "Host", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Type", "Connection", "Te", "Trailer",
		"Upgrade", "Keep-Alive", "Expect",
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			g := start(t, "", form.site(api))
			for _, c := range clients(t, g) {
				for _, name := range names {
					for _, spelled := range []string{name, strings.ReplaceAll(strings.ToUpper(name), "-", "_"), strings.ReplaceAll(name, "-", ".")} {
						for _, announced := range []bool{false, true} {
							req := request{method: http.MethodPost, target: "/x", body: "hello", trailers: [][2]string{{spelled, "evil"}, {"X-Sum", "1"}}}
							if announced {
								req.fields = [][2]string{{"Trailer", spelled + ", X-Sum"}}
							}
							if c.name() != "h1" {
								req.trailers = [][2]string{{strings.ToLower(spelled), "evil"}, {"x-sum", "1"}}
								if announced {
									req.fields[0][0] = "trailer"
								}
							}
							r := c.do(req)
							got := requests(t, api)
							if len(got) == 0 {
								if !r.refused() && r.status != http.StatusBadGateway {
									t.Fatalf("%s %+v: the client got %d %v", c.name(), req, r.status, r.err)
								}
								continue
							}
							wantEverything(t, got[0])
							if !strings.HasPrefix(got[0].body, "5\r\nhello\r\n") {
								t.Errorf("the API got the body %q", got[0].body)
							}
							if t.Failed() {
								t.Fatalf("%s, with %+v", c.name(), req)
							}
						}
					}
				}
				// The twin: an ordinary trailer.
				trailer, name := [][2]string{{"X-Sum", "1"}}, "Trailer"
				if c.name() != "h1" {
					trailer, name = [][2]string{{"x-sum", "1"}}, "trailer"
				}
				c.do(request{
					method: http.MethodPost, target: "/x", body: "hello", trailers: trailer, fields: [][2]string{{name, "X-Sum"}},
				})
				// quic-go hands trailers to a request that Caddy has made a copy of by then, so over HTTP/3
				// all are lost.
				if got := theRequest(t, api); !strings.Contains(got.body, "0\r\nX-Sum: 1\r\n") && c.name() != "h3" {
					t.Errorf("%s: the trailer did not arrive:\n%s", c.name(), got.raw)
				}
			}
		})
	}
}
