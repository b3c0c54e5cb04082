// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// echoUser answers with the user that a request names, and its path.
func echoUser(request string) string {
	s := request[:strings.Index(request, "\r\n")]
	user := "nobody"
	for line := range strings.SplitSeq(request, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(name, "X-User") {
			user = value
		}
	}
	return rig.OK(user + " " + strings.Fields(s)[1])
}

// oneConnection is a route all of whose requests share one connection to the API: what one user
// leaves on it would be the beginning of the next user's request.
func oneConnection(api *rig.API) string {
	return "authenticated_api http://" + api.Addr + "/v1/public {\nauth bearer ours\ntransport http {\nmax_conns_per_host 1\nkeepalive 1m\n}\n}"
}

// wantUndisturbed sends another user's request, and checks that the API receives that request and
// the user that answer.
func wantUndisturbed(t *testing.T, api *rig.API, c client) {
	t.Helper()
	r := c.do(request{target: "/second", fields: [][2]string{{"x-user", "second"}}})
	if r.body != "second /v1/public/second" {
		t.Errorf("the second user got %d %v %q", r.status, r.err, r.body)
	}
	got := requests(t, api)
	if len(got) == 0 {
		t.Fatal("the second user's request has not arrived")
	}
	for _, s := range got {
		s.wantFraming(t)
		s.wantOne(t, "Authorization", "Bearer ours")
		s.wantOne(t, "Host", api.Addr)
		// What the gateway has read as a second request of the attacker's is one: below the base
		// path like any other.
		if leaves(s.path()) {
			t.Errorf("the API got %q:\n%s", s.target, s.raw)
		}
	}
	// The attacker's second request may come before or after, on a connection of its own.
	if !slices.ContainsFunc(got, func(s sent) bool { return s.target == "/v1/public/second" }) {
		t.Errorf("the API got %q", got)
	}
}

// TestSmuggling sends requests whose end servers disagree about, each followed by a
// second user's request.
func TestSmuggling(t *testing.T) {
	const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\nX-User: smuggled\r\n\r\n"
	inner := len(smuggled)
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", inner, smuggled)
	post := func(header, body string) string {
		return "POST /first HTTP/1.1\r\nHost: gateway\r\nX-User: first\r\n" + header + "\r\n" + body
	}
	attacks := map[string]string{
		"twin: length":                  post("Content-Length: 5\r\n", "hello"),
		"twin: chunked":                 post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
		"CL.TE":                         post(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", inner+5), "0\r\n\r\n"+smuggled),
		"TE.CL":                         post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunk),
		"TE, then CL":                   post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunk),
		"two lengths":                   post(fmt.Sprintf("Content-Length: 5\r\nContent-Length: %d\r\n", inner+5), "hello"+smuggled),
		"two lengths, the longer first": post(fmt.Sprintf("Content-Length: %d\r\nContent-Length: 5\r\n", inner+5), "hello"+smuggled),
		"two lengths in one":            post(fmt.Sprintf("Content-Length: 5, %d\r\n", inner+5), "hello"+smuggled),
		"two lengths alike":             post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
		"length with a sign":            post("Content-Length: +5\r\n", "hello"+smuggled),
		"length with a minus":           post("Content-Length: -5\r\n", "hello"+smuggled),
		"length in hex":                 post("Content-Length: 0x5\r\n", "hello"+smuggled),
		"length with an underscore":     post("Content-Length: 1_0\r\n", "hello"+smuggled),
		"length with blanks":            post("Content-Length: 5 5\r\n", "hello"+smuggled),
		"length of another name":        post(fmt.Sprintf("Content_Length: %d\r\nContent-Length: 5\r\n", inner+5), "hello"),
		"huge length":                   post("Content-Length: 99999999999999999999\r\n", "hello"+smuggled),
		"empty length":                  post("Content-Length:\r\n", smuggled),
		"length on a GET":               "GET /first HTTP/1.1\r\nHost: gateway\r\nX-User: first\r\nContent-Length: 5\r\n\r\nhello" + smuggled,
		"TE on a GET":                   "GET /first HTTP/1.1\r\nHost: gateway\r\nX-User: first\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"TE in HTTP/1.0":                "POST /first HTTP/1.0\r\nHost: gateway\r\nX-User: first\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"TE and keep-alive in HTTP/1.0": "POST /first HTTP/1.0\r\nHost: gateway\r\nX-User: first\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk,
		"chunk extension":               post("Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0;a=\"\r\n\r\n"+smuggled),
		"chunk extension with LF":       post("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"+smuggled),
		"bare LF after a chunk size":    post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"),
		"bare CR":                       post("X-Other: a\rContent-Length: 50\r\nContent-Length: 5\r\n", "hello"),
		"chunk size with 0x":            post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"+smuggled),
		"chunk size too large":          post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff5\r\nhello\r\n0\r\n\r\n"+smuggled),
		"chunk size with blanks":        post("Transfer-Encoding: chunked\r\n", " 5\r\nhello\r\n0\r\n\r\n"+smuggled),
		"chunk longer than its size":    post("Transfer-Encoding: chunked\r\n", "5\r\nhelloXX\r\n0\r\n\r\n"+smuggled),
		"no last chunk":                 post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"+smuggled),
		"trailer that frames":           post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", "5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
		"Expect":                        post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
		"odd Expect":                    post("Expect: 101-switch\r\nContent-Length: 5\r\n", "hello"+smuggled),
		"length named in Connection":    post(fmt.Sprintf("Connection: Content-Length\r\nContent-Length: %d\r\n", inner), smuggled),
		"TE named in Connection":        post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", chunk),
		"pipelined":                     post("Content-Length: 5\r\n", "hello") + "GET /first HTTP/1.1\r\nHost: gateway\r\nX-User: first\r\n\r\n",
	}
	for _, te := range []string{
		"xchunked", "chunked, identity", "identity, chunked", "chunked,chunked", "CHUNKED", "chunked\x0b", "\x0bchunked", " chunked ", "\tchunked", `"chunked"`,
		"chunked;q=1", "gzip, chunked", "identity", "", "chunked\x00", "x\r\n chunked", "\r\n chunked", "chun\x00ked", "ch unked",
	} {
		attacks[fmt.Sprintf("TE %q", te)] = post("Content-Length: 4\r\nTransfer-Encoding: "+te+"\r\n", chunk)
		attacks[fmt.Sprintf("two TE with %q", te)] = post("Transfer-Encoding: "+te+"\r\nTransfer-Encoding: chunked\r\n", chunk)
	}
	for _, name := range []string{"Transfer-Encoding ", "Transfer-Encoding\t", " Transfer-Encoding", "Transfer\x00-Encoding", "Transfer_Encoding", "X: y\nTransfer-Encoding", "X: y\rTransfer-Encoding"} {
		attacks[fmt.Sprintf("name %q", name)] = post("Content-Length: 4\r\n"+name+": chunked\r\n", chunk)
	}

	api := rig.NewAPI(t, echoUser)
	g := start(t, "", oneConnection(api))
	for name, raw := range attacks {
		t.Run(name, func(t *testing.T) {
			first, second := &h1Client{addr: g.plain}, &h1Client{addr: g.plain}
			defer first.Close()
			defer second.Close()
			conn, err := net.Dial("tcp", g.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The attacker stays connected, and waits for the rest.
			if _, err := io.WriteString(conn, raw); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodPost})
			if strings.HasPrefix(name, "twin") {
				if err != nil || res.StatusCode != http.StatusOK {
					t.Fatalf("the client got %v %v", res, err)
				}
			}
			conn.Close()
			wantUndisturbed(t, api, second)
		})
	}
	if api.Conns() > 1+len(attacks) {
		t.Errorf("%d connections", api.Conns())
	}
}

// TestSmugglingHTTP2 says in HTTP/2 and HTTP/3 what would be a second request when it is written
// as HTTP/1.1.
func TestSmugglingHTTP2(t *testing.T) {
	const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	api := rig.NewAPI(t, echoUser)
	g := start(t, "", oneConnection(api))
	second := &h1Client{addr: g.plain}
	defer second.Close()
	for _, c := range clients(t, g)[1:] {
		pseudo := func(over ...string) [][2]string {
			fields := pseudoFields(request{target: "/first"}, g.tls)
			for i := range fields {
				if fields[i][0] == over[0] {
					fields[i][1] = over[1]
				}
			}
			return fields
		}
		for name, req := range map[string]request{
			"transfer-encoding":                {fields: [][2]string{{"transfer-encoding", "chunked"}}, body: "0\r\n\r\n" + smuggled},
			"transfer-encoding, a length too":  {fields: [][2]string{{"transfer-encoding", "chunked"}, {"content-length", "5"}}, body: "0\r\n\r\n"},
			"length too short":                 {fields: [][2]string{{"content-length", "5"}}, body: "hello" + smuggled},
			"length too long":                  {fields: [][2]string{{"content-length", "500"}}, body: "hello"},
			"length without a body":            {fields: [][2]string{{"content-length", "5"}}},
			"two lengths":                      {fields: [][2]string{{"content-length", "5"}, {"content-length", "50"}}, body: "hello"},
			"length with a sign":               {fields: [][2]string{{"content-length", "+5"}}, body: "hello"},
			"CRLF in a value":                  {fields: [][2]string{{"x-a", "b\r\n\r\n" + smuggled}}},
			"LF in a value":                    {fields: [][2]string{{"x-a", "b\nTransfer-Encoding: chunked"}}},
			"CR in a value":                    {fields: [][2]string{{"x-a", "b\rTransfer-Encoding: chunked"}}},
			"NUL in a value":                   {fields: [][2]string{{"x-a", "b\x00"}}},
			"CRLF in a name":                   {fields: [][2]string{{"x-a: b\r\n\r\n" + smuggled + "x", "y"}}},
			"colon in a name":                  {fields: [][2]string{{"transfer-encoding: chunked\r\nx", "y"}}},
			"CRLF in the method":               {pseudo: pseudo(":method", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET")},
			"blank in the method":              {pseudo: pseudo(":method", "GET /v1/smuggled HTTP/1.1")},
			"CRLF in the path":                 {pseudo: pseudo(":path", "/x HTTP/1.1\r\nHost: x\r\n\r\n"+smuggled)},
			"LF in the path":                   {pseudo: pseudo(":path", "/x\nHost: smuggled")},
			"CRLF in the authority":            {pseudo: pseudo(":authority", "x\r\nX-Evil: evil")},
			"CRLF in the scheme":               {pseudo: pseudo(":scheme", "https\r\nX-Evil: evil")},
			"upgrade":                          {fields: [][2]string{{"upgrade", "h2c"}}},
			"http2-settings":                   {fields: [][2]string{{"http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"}}},
			"te":                               {fields: [][2]string{{"te", "chunked"}}},
			"pseudo field behind regular ones": {fields: [][2]string{{"x-a", "b"}, {":path", "/v1/smuggled"}}},
			"framing in trailers":              {body: "hello", trailers: [][2]string{{"transfer-encoding", "chunked"}, {"content-length", "50"}}},
			"pseudo field in trailers":         {body: "hello", trailers: [][2]string{{":path", "/v1/smuggled"}}},
			"CRLF in trailers":                 {body: "hello", trailers: [][2]string{{"x-a", "b\r\n\r\n" + smuggled}}},
			"twin":                             {body: "hello"},
			"twin with a length":               {body: "hello", fields: [][2]string{{"content-length", "5"}}},
			"twin with trailers":               {body: "hello", trailers: [][2]string{{"x-sum", "b"}}},
		} {
			t.Run(c.name()+" "+name, func(t *testing.T) {
				req.target = "/first"
				if req.body != "" {
					req.method = http.MethodPost
				}
				r := c.do(req)
				if strings.HasPrefix(name, "twin") && r.status != http.StatusOK {
					t.Errorf("the client got %d %v", r.status, r.err)
				}
				if strings.Contains(r.body, "smuggled") {
					t.Errorf("the client got %q", r.body)
				}
				for _, s := range requests(t, api) {
					s.wantFraming(t)
					s.wantNone(t, "X-Evil")
					s.wantOne(t, "Authorization", "Bearer ours")
					if leaves(s.path()) || s.path() != "/v1/public/first" {
						t.Errorf("the API got %q", s.target)
					}
				}
				wantUndisturbed(t, api, second)
			})
		}
	}
}

// TestUpgrade tries to get a tunnel to the API that is good for more than the one request that
// the gateway has looked at. A WebSocket is the twin.
func TestUpgrade(t *testing.T) {
	for _, form := range forms[:2] {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, func(request string) string {
				for line := range strings.SplitSeq(request, "\r\n") {
					if name, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(name, "Upgrade") {
						return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + value + "\r\n" +
							"Set-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
					}
				}
				return rig.OK("no upgrade")
			})
			g := start(t, "", form.site(api))
			upgrade := func(value string, more ...[2]string) (reply, *h1Client) {
				c := &h1Client{addr: g.plain}
				return c.do(request{target: "/x", fields: append([][2]string{{"Connection", "Upgrade, HTTP2-Settings, X-Api-Key"}, {"Upgrade", value}}, more...)}), c
			}
			for _, value := range []string{"h2c", "H2C", " h2c", "h2", "HTTP/2.0", "http/1.1", "TLS/1.0", "websocket, h2c", "h2c, websocket", "h2c/1"} {
				r, c := upgrade(value, [2]string{"HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"})
				c.Close()
				if r.status == http.StatusSwitchingProtocols {
					t.Errorf("%q: the client got a tunnel", value)
				}
				for _, s := range requests(t, api) {
					s.wantNone(t, "Upgrade")
					s.wantNone(t, "HTTP2-Settings")
					wantEverything(t, s)
				}
			}
			r, c := upgrade("websocket", [2]string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, [2]string{"Sec-WebSocket-Version", "13"})
			defer c.Close()
			if r.status != http.StatusSwitchingProtocols {
				t.Fatalf("the client got %d %v", r.status, r.err)
			}
			if r.header.Get("Set-Cookie") != "" || r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("the client got %v", r.header)
			}
			got := theRequest(t, api)
			wantEverything(t, got)
			got.wantOne(t, "Upgrade", "websocket")
			// After 101 the bytes go to the API unchanged, as in every WebSocket.
			if _, err := io.WriteString(c.conn, "GET /tunnel HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if r := c.read(http.MethodGet); r.body != "no upgrade" {
				t.Errorf("through the tunnel came %d %v %q", r.status, r.err, r.body)
			}
			api.Requests()
		})
	}
}

// TestExtendedConnect opens a WebSocket over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220), which Caddy
// turns into an Upgrade.
func TestExtendedConnect(t *testing.T) {
	api := rig.NewAPI(t, func(string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes"
	})
	g := start(t, "", everything(api))
	for _, c := range clients(t, g)[1:] {
		connect := func(path string, fields ...[2]string) reply {
			return c.do(request{fields: append(fields, [2]string{"sec-websocket-version", "13"}), body: "x", pseudo: [][2]string{
				{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", g.tls}, {":path", path},
			}})
		}
		for _, path := range []string{"/../../admin", "/%2e%2e/%2e%2e/admin", "/x/..;/y"} {
			if r := connect(path); !r.refused() {
				t.Errorf("%s %s: the client got %d %v", c.name(), path, r.status, r.err)
			}
			wantNothing(t, api)
		}
		if r := connect("/x", [2]string{"origin", "https://evil.test"}, [2]string{"sec-fetch-site", "cross-site"}); !r.refused() {
			t.Errorf("%s: a page of another origin got %d %v", c.name(), r.status, r.err)
		}
		wantNothing(t, api)
		connect("/x", [2]string{"x-api-key", "evil"}, [2]string{"upgrade", "h2c"}, [2]string{"authorization", "evil"})
		for _, s := range requests(t, api) {
			wantEverything(t, s)
			if s.method != http.MethodGet || s.path() != "/v1/public/x" {
				t.Errorf("%s: the API got %s %s", c.name(), s.method, s.target)
			}
		}
		r := connect("/x")
		if c.name() == "h2" && r.err != nil {
			continue // Go's server offers it only when GODEBUG says http2xconnect=1
		}
		if r.status != http.StatusOK {
			t.Errorf("%s: the client got %d %v %q", c.name(), r.status, r.err, r.body)
		}
		got := theRequest(t, api)
		wantEverything(t, got)
		got.wantOne(t, "Upgrade", "websocket")
	}
}
