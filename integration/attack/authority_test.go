// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestAuthority tries to send the request, and the credential with it, to a host of the client's
// choice.
func TestAuthority(t *testing.T) {
	api, evil := rig.NewAPI(t, nil), rig.NewAPI(t, nil)
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}")
	h1, h2, h3 := &h1Client{addr: g.plain}, &h2Client{addr: g.tls}, &h3Client{addr: g.tls}
	defer h1.Close()
	defer h2.Close()
	defer h3.Close()

	raw := func(lines ...string) func() reply {
		return func() reply { return h1.raw(http.MethodGet, strings.Join(lines, "\r\n")+"\r\n\r\n") }
	}
	with := func(c client, pseudo ...string) func() reply {
		fields := [][2]string{}
		for i := 0; i < len(pseudo); i += 2 {
			fields = append(fields, [2]string{pseudo[i], pseudo[i+1]})
		}
		return func() reply { return c.do(request{pseudo: fields}) }
	}
	const refused = "" // or the target that the API must get

	type attack struct {
		name string
		do   func() reply
		want string
	}
	attacks := []attack{
		{"twin: origin form", raw("GET /x HTTP/1.1", "Host: "+g.plain), "/v1/public/x"},
		{"absolute form of ourselves", raw("GET http://"+g.plain+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public/x"},
		{"absolute form of another host", raw("GET http://"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public/x"},
		{"absolute form, both other", raw("GET http://"+evil.Addr+"/x HTTP/1.1", "Host: "+evil.Addr), "/v1/public/x"},
		{"absolute form, https", raw("GET https://"+evil.Addr+"/x?a=b HTTP/1.1", "Host: "+g.plain), "/v1/public/x?a=b"},
		{"absolute form with userinfo", raw("GET http://ann:pass@"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public/x"},
		{"absolute form without a path", raw("GET http://"+evil.Addr+" HTTP/1.1", "Host: "+g.plain), "/v1/public"},
		{"absolute form, query only", raw("GET http://"+evil.Addr+"?a=b HTTP/1.1", "Host: "+g.plain), "/v1/public?a=b"},
		{"absolute form of dot segments", raw("GET http://"+evil.Addr+"/../../admin HTTP/1.1", "Host: "+g.plain), refused},
		{"absolute form of another scheme", raw("GET file:///etc/passwd HTTP/1.1", "Host: "+g.plain), "/v1/public/etc/passwd"},
		{"protocol-relative", raw("GET //"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public//" + evil.Addr + "/x"},
		{"three slashes", raw("GET ///"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public///" + evil.Addr + "/x"},
		{"backslashes", raw(`GET /\`+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), `/v1/public/\` + evil.Addr + "/x"},
		{"at sign", raw("GET /@"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), "/v1/public/@" + evil.Addr + "/x"},
		{"at sign without a slash", raw("GET @"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), refused},
		{"no slash", raw("GET x HTTP/1.1", "Host: "+g.plain), refused},
		{"dots without a slash", raw("GET ../x HTTP/1.1", "Host: "+g.plain), refused},
		{"opaque", raw("GET mailto:ann@evil.test HTTP/1.1", "Host: "+g.plain), refused},
		{"opaque http", raw("GET http:"+evil.Addr+"/x HTTP/1.1", "Host: "+g.plain), refused},
		{"asterisk", raw("GET * HTTP/1.1", "Host: "+g.plain), refused},
		{"empty target", raw("GET  HTTP/1.1", "Host: "+g.plain), refused},
		{"query without a path", raw("GET ?a=b HTTP/1.1", "Host: "+g.plain), refused},
		{"another Host", raw("GET /x HTTP/1.1", "Host: "+evil.Addr), "/v1/public/x"},
		{"two Hosts", raw("GET /x HTTP/1.1", "Host: "+g.plain, "Host: "+evil.Addr), refused},
		{"two Hosts in two cases", raw("GET /x HTTP/1.1", "Host: "+g.plain, "hOST: "+evil.Addr), refused},
		{"no Host", raw("GET /x HTTP/1.1"), refused},
		{"Host with a blank", raw("GET /x HTTP/1.1", "Host: a b"), refused},
		{"Host with a slash", raw("GET /x HTTP/1.1", "Host: "+g.plain+"/../evil"), refused},
		{"Host behind a blank", raw("GET /x HTTP/1.1", "Host: "+g.plain, " Host: "+evil.Addr), refused},
		{"HTTP/1.0 without Host", raw("GET /x HTTP/1.0"), "/v1/public/x"},
		{"forwarding fields", raw("GET /x HTTP/1.1", "Host: "+g.plain, "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test",
			"X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1"), "/v1/public/x"},
	}
	for _, c := range []client{h2, h3} {
		full := func(over ...string) func() reply {
			pseudo := map[string]string{":method": "GET", ":scheme": "https", ":authority": g.tls, ":path": "/x"}
			for i := 0; i < len(over); i += 2 {
				pseudo[over[i]] = over[i+1]
			}
			var list []string
			for _, name := range []string{":method", ":scheme", ":authority", ":path", "host"} {
				if value, ok := pseudo[name]; ok && value != "-" {
					list = append(list, name, value)
				}
			}
			return with(c, list...)
		}
		n := c.name() + ": "
		attacks = append(attacks, []attack{
			{n + "twin", full(), "/v1/public/x"},
			{n + "another :authority", full(":authority", evil.Addr), "/v1/public/x"},
			{n + "userinfo in :authority", full(":authority", "ann@"+g.tls), refused},
			{n + "user and password in :authority", full(":authority", "ann:pass@"+evil.Addr), refused},
			{n + "another host field", full("host", evil.Addr), "/v1/public/x?"},
			{n + "host field in the place of :authority", full(":authority", "-", "host", evil.Addr), "/v1/public/x?"},
			{n + "absolute :path", full(":path", "http://"+evil.Addr+"/x"), "/v1/public/x?"},
			{n + "protocol-relative :path", full(":path", "//"+evil.Addr+"/x"), "/v1/public//" + evil.Addr + "/x"},
			{n + ":path without a slash", full(":path", "x"), refused},
			{n + ":path of an at sign", full(":path", "@"+evil.Addr), refused},
			{n + ":path asterisk", full(":path", "*"), refused},
			{n + "empty :path", full(":path", ""), refused},
			{n + ":path query only", full(":path", "?a=b"), refused},
			{n + "another :scheme", full(":scheme", "http"), "/v1/public/x?"},
			{n + "odd :scheme", full(":scheme", "https://evil.test/x?"), "/v1/public/x?"},
			{n + "two :path", with(c, ":method", "GET", ":scheme", "https", ":authority", g.tls, ":path", "/x", ":path", "/../../y"), refused},
			{n + "two :authority", with(c, ":method", "GET", ":scheme", "https", ":authority", g.tls, ":authority", evil.Addr, ":path", "/x"), refused},
			{n + "no :path", with(c, ":method", "GET", ":scheme", "https", ":authority", g.tls), refused},
			{n + "blank in :path", full(":path", "/x HTTP/1.1"), "/v1/public/x%20HTTP/1.1?"},
		}...)
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			r := a.do()
			got := requests(t, api)
			want, maybe := strings.CutSuffix(a.want, "?") // it may be refused as well
			if len(got) == 0 && (want == refused || maybe) {
				if !r.refused() {
					t.Errorf("not served, but the client got %d %v", r.status, r.err)
				}
				return
			}
			if len(got) != 1 || got[0].target != want {
				t.Fatalf("the API got %v, want %q; the client got %d %v %q", got, want, r.status, r.err, r.body)
			}
			got[0].wantOne(t, "Authorization", "Bearer ours")
			got[0].wantOne(t, "Host", api.Addr)
			for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Via"} {
				got[0].wantNone(t, name)
			}
			if strings.Contains(got[0].raw, "pass") && strings.Contains(a.name, "userinfo") {
				t.Errorf("userinfo went on:\n%s", got[0].raw)
			}
		})
	}
	wantNothing(t, evil)

	t.Run("OPTIONS *", func(t *testing.T) {
		// Go's server answers this request itself, which is right: it is about the gateway.
		h1.raw(http.MethodOptions, fmt.Sprintf("OPTIONS * HTTP/1.1\r\nHost: %s\r\n\r\n", g.plain))
		h2.do(request{method: http.MethodOptions, target: "*"})
		h3.do(request{method: http.MethodOptions, target: "*"})
		wantNothing(t, api)
		h1.do(request{method: http.MethodOptions, target: "/x"})
		theRequest(t, api)
	})
}

// TestMethod tries TRACE, whose answer would show the credential to the client, and CONNECT, by
// which the API's proxy in front of it might open a tunnel.
func TestMethod(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}")
	for _, c := range clients(t, g) {
		for _, req := range []request{
			{method: "TRACE", target: "/x"},
			{method: "CONNECT", target: "evil.test:443", authority: "evil.test:443"},
			{method: "CONNECT", target: "/x"},
			{method: "CONNECT", pseudo: [][2]string{{":method", "CONNECT"}, {":authority", "evil.test:443"}}},
			{method: "CONNECT", pseudo: [][2]string{
				{":method", "CONNECT"}, {":protocol", "connect-udp"}, {":scheme", "https"}, {":path", "/x"}, {":authority", g.tls},
			}},
			{method: "CONNECT", pseudo: [][2]string{
				{":method", "CONNECT"}, {":protocol", "WEBSOCKET "}, {":scheme", "https"}, {":path", "/x"}, {":authority", g.tls},
			}},
		} {
			if req.target == "" && c.name() == "h1" {
				continue
			}
			r := c.do(req)
			if !r.refused() {
				t.Errorf("%s: %+v: the client got %d %v", c.name(), req, r.status, r.err)
			}
			if r.problem() == "method-not-allowed" && (r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") == "") {
				t.Errorf("%s: %+v: the client got %d, Allow: %q", c.name(), req, r.status, r.header.Get("Allow"))
			}
			wantNothing(t, api)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "trace", "Connect"} {
			if r := c.do(request{method: method, target: "/x"}); r.status != http.StatusOK {
				t.Errorf("%s: %s: the client got %d %v", c.name(), method, r.status, r.err)
			}
			got := theRequest(t, api)
			if got.method != method {
				t.Errorf("%s: the API got %s for %s", c.name(), got.method, method)
			}
			got.wantOne(t, "Authorization", "Bearer ours")
		}
	}
}
