// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// proxyPlaceholders are those that Caddy's proxy documents, and which access logs have.
var proxyPlaceholders = []string{
	"upstream.address", "upstream.hostport", "upstream.host", "upstream.port", "upstream.requests", "upstream.max_requests", "upstream.fails",
	"upstream.latency", "upstream.latency_ms", "upstream.duration", "upstream.duration_ms", "duration", "duration_ms", "retries",
	"status_code", "status_text", "header.Content-Type", "header.X-Many", "header.None",
}

// startAllWays runs a gateway with three sites for one API: the handler of the first sends
// requests itself, an entry of a catalogue those of the second, Caddy's proxy those of the third.
// It returns their addresses by their ways, and the file of the log, in which each request has all
// placeholders of the proxy.
func startAllWays(t *testing.T, base, options string) (sites map[string]string, logFile string) {
	t.Helper()
	site := "log\n"
	for _, name := range proxyPlaceholders {
		site += "log_append " + name + " {http.reverse_proxy." + name + "}\n"
	}
	return startSites(t, base, options, site)
}

// startSites is startAllWays with other directives in the sites.
func startSites(t *testing.T, base, options, directives string) (sites map[string]string, logFile string) {
	t.Helper()
	logFile = filepath.Join(t.TempDir(), "log.json")
	sites = map[string]string{"itself": rig.Free(t), "catalogue": rig.Free(t), "reverse_proxy": rig.Free(t)}
	config := "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\nlog {\noutput file " + logFile + "\nlevel DEBUG\n}\n}\n"
	for way, addr := range sites {
		entry := base + " {\nauth bearer secret\n" + options + "\n}\n"
		block := "authenticated_api " + strings.Replace(entry, "{\n", "{\nname api\n", 1)
		switch way {
		case "catalogue":
			block = "authenticated_apis {\nname api{http.vars.none}\nother http://other.example\napi " + entry + "}\n"
		case "reverse_proxy":
			block = rig.ThroughCaddysProxy(block)
		}
		config += "http://" + addr + " {\n" + directives + "header X-Own ours\n" +
			"header >X-Late \"{http.reverse_proxy.upstream.hostport} {http.reverse_proxy.status_code}\"\n" + block + "}\n"
	}
	adapted, err := rig.Adapt(config)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(adapted), `"handler":"reverse_proxy"`); n != 1 {
		t.Fatalf("%d of the sites have Caddy's proxy", n)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return sites, logFile
}

// exchangeRaw sends bytes, and returns what comes until the connection ends or nothing more comes.
func exchangeRaw(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "{host}", addr)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	return strings.ReplaceAll(string(got), addr, "{host}")
}

// TestWaysAgree: what the client gets and what the access log has is the same whether the handler
// sends a request itself, in a catalogue too, or Caddy's proxy does.
func TestWaysAgree(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		path, _, _ := strings.Cut(strings.TrimPrefix(strings.Fields(request)[1], "/v1"), "?")
		switch path {
		case "/chunks":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nContent-Type: text/plain\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
		case "/trailers":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"
		case "/hints":
			return "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nKeep-Alive: 5\r\nX-Own: theirs\r\nX-One: 1\r\nConnection: X-One\r\n\r\n" + rig.OK("ok")
		case "/fields":
			return rig.Response("404 Not Found", "Server: theirs\r\nVia: 1.0 theirs\r\nX-Own: theirs\r\nX-Many: a\r\nX-Many: b\r\nX-One: 1\r\n"+
				"Connection: X-One\r\nContent-Type: text/plain; charset=utf-8\r\nAlt-Svc: h3=1\r\n", "no")
		case "/events":
			return rig.Response("200 OK", "Content-Type: Text/Event-Stream; charset=utf-8\r\n", "data: 1\n\n")
		case "/old":
			return "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold" + rig.HangUp // without a type it is the timing that says whether one is guessed
		case "/empty":
			return "HTTP/1.1 204 No Content\r\n\r\n"
		case "/close":
			return ""
		case "/broken":
			return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234" + rig.HangUp
		case "/slow":
			time.Sleep(300 * time.Millisecond)
			return rig.OK("late") + rig.HangUp
		case "/upgrade":
			return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello" + rig.HangUp
		default:
			return rig.Response("200 OK", "Content-Type: application/json\r\n", `{"n":1}`)
		}
	})
	sites, logFile := startAllWays(t, "http://"+api.Addr+"/v1?a=b", "transport http {\nresponse_header_timeout 150ms\n}")
	_, port, _ := net.SplitHostPort(api.Addr)
	for i, request := range []string{
		"GET /x?q=1;2&%zz HTTP/1.1\r\nAccept: */*\r\n",
		"GET http://{host}/absolute HTTP/1.1\r\n",
		"HEAD /x HTTP/1.1\r\n",
		"POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
		"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
		"GET /chunks HTTP/1.1\r\nTE: trailers\r\n",
		"GET /chunks HTTP/1.0\r\n",
		"GET /trailers HTTP/1.1\r\n",
		"GET /hints HTTP/1.1\r\n",
		"GET /fields HTTP/1.1\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nAlt-Svc: h3=2\r\n",
		"GET /events HTTP/1.1\r\nIncremental: ?1\r\n",
		"GET /old HTTP/1.1\r\n",
		"GET /empty HTTP/1.1\r\n",
		"GET /close HTTP/1.1\r\n",
		"POST /close HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
		"GET /broken HTTP/1.1\r\n",
		"GET /slow HTTP/1.1\r\n",
		"GET /upgrade HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: echo\r\n",
		"TRACE /x HTTP/1.1\r\n",
	} {
		head, body, _ := strings.Cut(request, "\r\n\r\n")
		head = strings.TrimSuffix(head, "\r\n") + "\r\nHost: {host}\r\n"
		if !strings.Contains(head, "Connection:") {
			head += "Connection: close\r\n"
		}
		var seen []string
		for _, way := range []string{"reverse_proxy", "itself", "catalogue"} {
			got := exchangeRaw(t, sites[way], head+"\r\n"+body)
			asked := api.Requests()
			for i, r := range asked {
				_, body, _ := strings.Cut(r, "\r\n\r\n")
				asked[i] = strings.Join(rig.Lines(r), "\n") + "\n\n" + body
			}
			entry := accessEntry(t, logFile, sites[way], i)
			seen = append(seen, fmt.Sprintf("%s\nAPI: %s\nlog: %s", withoutDate(got), asked, entry))
			if strings.Contains(request, "GET /x") && !strings.Contains(entry, "upstream.port:"+port+" ") {
				t.Errorf("%s: the log has %s", way, entry)
			}
		}
		for i, way := range []string{"the handler", "a catalogue"} {
			if seen[0] != seen[1+i] {
				t.Errorf("%q\nCaddy's proxy: %s\n\n%s: %s", request, seen[0], way, seen[1+i])
			}
		}
	}
}

var dateField = regexp.MustCompile(`Date: [^\r]*\r\n`)

func withoutDate(answer string) string { return dateField.ReplaceAllString(answer, "") }

// accessEntry returns what the access log has of a site's nth request, without what differs from
// one time to the next.
func accessEntry(t *testing.T, logFile, site string, n int) string {
	t.Helper()
	var entries []rig.Entry
	rig.Wait(t, "the line in the access log", 5*time.Second, func() bool {
		entries = nil
		for _, e := range rig.Logged(t, logFile, "handled request") {
			if e["request"].(map[string]any)["host"] == site {
				entries = append(entries, e)
			}
		}
		return len(entries) > n
	})
	entry := entries[n]
	for name := range entry {
		if value, ok := entry[name].(float64); ok && value > 0 && (strings.Contains(name, "duration") || strings.Contains(name, "latency")) {
			entry[name] = "some time"
		}
	}
	delete(entry, "ts")
	request := entry["request"].(map[string]any)
	delete(request, "remote_port")
	delete(entry["resp_headers"].(map[string]any), "Date")
	return strings.ReplaceAll(fmt.Sprint(entry), site, "{host}") // maps are printed in order
}

// TestWaysForwarded: where the API is told of the client, it is told the same on all ways, of
// clients that are trusted and of others.
func TestWaysForwarded(t *testing.T) {
	api := rig.NewAPI(t, nil)
	sites, _ := startAllWays(t, "http://"+api.Addr, "pass_request_header X-Forwarded-* Forwarded Via")
	for _, header := range []string{
		"", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\nForwarded: for=192.0.2.1\r\nVia: 1.1 a\r\nX-Forwarded-Port: 1\r\n",
		"Forwarded: for=192.0.2.1\r\nConnection: Forwarded\r\n",
	} {
		var seen []string
		for _, addr := range sites {
			rig.Get(t, addr, "/", header)
			seen = append(seen, strings.ReplaceAll(strings.Join(rig.Lines(api.Request(t)), "\n"), addr, "{host}"))
		}
		if seen[0] != seen[1] || seen[0] != seen[2] || !strings.Contains(seen[0], "X-Forwarded-For: 127.0.0.1\n") || !strings.Contains(seen[0], "Via: ") {
			t.Errorf("%q: the API got\n%s", header, strings.Join(seen, "\n\nand\n"))
		}
	}
}

// TestWaysGone: a client that leaves before it has an answer, and an answer that breaks off.
func TestWaysGone(t *testing.T) {
	hold := make(chan struct{})
	asked := make(chan struct{}, 10)
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "/broken") {
			return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234" + rig.HangUp
		}
		asked <- struct{}{}
		<-hold
		return ""
	})
	defer close(hold)
	sites, logFile := startAllWays(t, "http://"+api.Addr, "")
	for way, addr := range sites {
		conn, err := net.Dial("tcp", addr) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /hold HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		rig.Receive(t, asked, "the request")
		conn.Close()
		if entry := accessEntry(t, logFile, addr, 0); !strings.Contains(entry, " status:499 ") {
			t.Errorf("%s: a client has left, and the log has %s", way, entry)
		}
		if got := exchangeRaw(t, addr, "GET /broken HTTP/1.1\r\nHost: {host}\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n1234") {
			t.Errorf("%s: of a broken answer the client got %q", way, got)
		}
		rig.Wait(t, "the line about the broken answer", 5*time.Second, func() bool {
			lines := rig.Logged(t, logFile, "aborting with incomplete response")
			return len(lines) > 0 && strings.Contains(fmt.Sprint(lines[len(lines)-1]["error"]), "unexpected EOF")
		})
	}
	if n := len(rig.Logged(t, logFile, "aborting with incomplete response")); n != 3 {
		t.Errorf("the log says %d times that an answer broke off", n)
	}
	if n := len(rig.Logged(t, logFile, "upstream roundtrip")); n != 6 {
		t.Errorf("the debug log has %d of 6 requests", n)
	}
}

// TestWaysReload: a reload ends a WebSocket as Caddy's proxy does, with a close frame (RFC 6455
// §5.5.1). The sites write no access log: Caddy 2.11.9 counts its bytes for an upgraded connection
// without a lock, while its proxy still writes (hijackedConn, in caddyhttp/responsewriter.go).
func TestWaysReload(t *testing.T) {
	api := rig.NewAPI(t, func(string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
	})
	sites, _ := startSites(t, "http://"+api.Addr, "", "")
	open := make(map[string]net.Conn)
	for way, addr := range sites {
		conn, err := net.Dial("tcp", addr) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, len("HTTP/1.1 101"))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 101" {
			t.Fatalf("%s: %q %v", way, head, err)
		}
		open[way] = conn
	}
	if err := rig.Load("http://" + rig.Free(t) + " {\nrespond ok\n}"); err != nil {
		t.Fatal(err)
	}
	const goingAway = "\x88\x02\x03\xe9"
	for way, conn := range open {
		if rest, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(rest), goingAway) {
			t.Errorf("%s: after a reload the client got %q, %v", way, rest, err)
		}
	}
}

// TestServingForgets: the placeholders are those of the API, and not of the proxy of forward_auth.
func TestServingForgets(t *testing.T) {
	api, auth := rig.NewAPI(t, nil), rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nheader >X-Upstream \"{http.reverse_proxy.upstream.hostport}\"\nforward_auth "+auth.Addr+
		" {\nuri /\n}\nauthenticated_api http://"+api.Addr+" {\nauth bearer t\n}\n}")
	for range 2 {
		if got := rig.Get(t, gateway, "/", "").Header.Get("X-Upstream"); got != api.Addr {
			t.Errorf("the upstream is %s, want %s", got, api.Addr)
		}
	}
}

// TestServingJSON: what a transport in the handler may say.
func TestServingJSON(t *testing.T) {
	for _, tt := range []struct{ handler, want string }{
		{`"base_url":"http://127.0.0.1:1","transport":{"versions":["1.1"]}`, ""},
		{`"base_url":"https://127.0.0.1:1","transport":{"replay":0,"tls":{"server_name":"a"}}`, ""},
		{`"transport":{}`, "without a base_url the proxy is one of your own"},
		{`"base_url":"http://127.0.0.1:1","transport":{"tls":{}}`, "the base URL is http"},
		{`"base_url":"http://127.0.0.1:1","transport":{"self_signed_cert":"/x.pem"}`, "the base URL is http"},
		{`"base_url":"http://127.0.0.1:1","transport":{"datasource":"x"}`, "is for the datasource of the handler"},
		{`"base_url":"http://127.0.0.1:1","transport":{"refresh_on":[200]}`, "refresh_on: "},
		{`"base_url":"http://127.0.0.1:1","transport":{"protocol":"http"}`, "protocol"},
		{`"base_url":"http://127.0.0.1:1","transport":{"versions":["9"]}`, "unsupported HTTP version"},
	} {
		err := caddy.Load([]byte(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["`+rig.Free(t)+
			`"],"routes":[{"handle":[{"handler":"authenticated_api",`+tt.handler+`}]}]}}}}}`), true)
		switch {
		case err == nil:
			_ = caddy.Stop()
			if tt.want != "" {
				t.Errorf("%s loads", tt.handler)
			}
		case tt.want == "" || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: %v, want %q", tt.handler, err, tt.want)
		}
	}
}

// TestServingEvents: an event does not wait for the next one, even in an answer of a known length.
func TestServingEvents(t *testing.T) {
	const event = "data: 1\n\n"
	seen := make(chan struct{})
	url, _ := rig.Serve(t, "1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Length", strconv.Itoa(2*len(event)))
		_, _ = io.WriteString(w, event)
		_ = http.NewResponseController(w).Flush()
		<-seen
		_, _ = io.WriteString(w, event)
	}))
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\nauthenticated_api "+url+" {\nauth bearer t\n}\n}")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gateway+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadFull(res.Body, make([]byte, len(event)))
	}
	close(seen)
	if err != nil {
		t.Errorf("the first event: %v", err)
	}
}
