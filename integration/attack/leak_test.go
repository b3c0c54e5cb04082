// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// These are the secrets of the leak tests. In a configuration they are {env.…}.
var canaries = map[string]string{
	"CANARY_BEARER":    "B3arerQ7xKp0W2mZ9vT4nB8cR1",
	"CANARY_PASSWORD":  "Passw0rdJ6hLd3Yq5Ug2Xe8Ns4",
	"CANARY_KEY":       "K3yHeaderV9tCw4Rb7Mk1Zp6Fj",
	"CANARY_QUERY":     "Qu3ryF5gSx8Dn2Hv6Tl9Ba4Wm7",
	"CANARY_SIGNATURE": "S1gnGk4Yc7Pz3Lj9Qw2Et6Uo8RaXb5",
	"CANARY_VALUE":     "V4lueNs2Mi8Ke5Vd7Ar1Fh3Ty6",
	"CANARY_PARAM":     "P4ramCj6Wz4Bg8Xu1Od5Qn3Ik9",
}

// methods are the ways to send the secrets, one route each.
var methods = map[string]string{
	"bearer": "auth bearer {env.CANARY_BEARER}",
	"basic":  "auth basic ann {env.CANARY_PASSWORD}",
	"header": "auth api_key X-Api-Key {env.CANARY_KEY}",
	"query":  "auth api_key api_key {env.CANARY_QUERY} {\nin query\n}",
	"prefix": "auth api_key Authorization {env.CANARY_KEY} {\nprefix Token\n}",
	"values": "header X-Value {env.CANARY_VALUE}\nheader ?X-Value2 \"a {env.CANARY_VALUE} b\"\nquery key {env.CANARY_PARAM}",
	"mixed":  "auth bearer {env.CANARY_BEARER}\nheader X-Value \"{env.CANARY_VALUE} {http.request.uri.path}\"\nquery +key \"{env.CANARY_PARAM} {http.request.method}\"",
}

// everyPlaceholder is a text with all placeholders that could hold a secret.
func everyPlaceholder() string {
	names := []string{
		"http.request.uri", "http.request.orig_uri", "http.request.uri.query", "http.request.orig_uri.query", "http.request.uri.query.api_key", "http.request.uri.query.key",
		"http.request.body", "http.request.host", "http.request.remote", "http.request.duration", "http.request.scheme", "http.vars.authenticated_api.exchange",
		"http.vars.authenticated_api.session", "http.vars.reverse_proxy.proxy", "http.reverse_proxy.upstream.address", "http.reverse_proxy.upstream.hostport", "err.message", "err.trace",
		"err.status_code", "http.error", "http.error.message", "http.authenticated_api.datasource", "http.authenticated_api.error_code", "http.response.header.X-Seen",
		"http.reverse_proxy.status_text", "http.auth.user.id",
	}
	for _, prefix := range []string{"http.request.header.", "http.reverse_proxy.header.", "http.response.header.", "http.reverse_proxy.upstream."} {
		for _, field := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Appsmith-Signature", "X-Value", "X-Value2", "Cookie", "*"} {
			names = append(names, prefix+field)
		}
	}
	return "{" + strings.Join(names, "} {") + "}"
}

// echoed returns the fields of a request as fields of an answer: under their own names, and the
// values as they are, in a URL, escaped, and what is in those of Basic.
func echoed(request string) string {
	var sb strings.Builder
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	for i, line := range strings.Split(head, "\r\n")[1:] {
		name, val, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade":
			continue
		}
		_, behind, _ := strings.Cut(val, " ")
		fmt.Fprintf(&sb, "%s\r\nX-Echo-%d: %s\r\nX-Echo: got %[3]s, thanks\r\nX-Url: https://api.test/x?a=b&key=%[4]s#%[4]s\r\nX-Escaped: %[5]s\r\nX-Twice: %[6]s\r\n",
			line, i, val, url.QueryEscape(val), allEscaped(val), url.QueryEscape(allEscaped(behind)))
		if decoded, err := base64.StdEncoding.DecodeString(behind); err == nil {
			fmt.Fprintf(&sb, "X-Decoded: %s\r\n", decoded)
		}
	}
	return sb.String()
}

const tellAll = `{{.Req}} {{printf "%v" .Req}} {{printf "%+v" .Req}} {{printf "%#v" .Req}} {{printf "%+v" .OriginalReq}} {{.Req.Header}} {{.Req.URL}} ` +
	`{{placeholder "http.vars.authenticated_api.exchange"}} {{placeholder "err.message"}} {{printf "%+v" .RespHeader}}`

// TestLeaks carries every secret in every way, lets everything go wrong that can, and looks for
// them everywhere.
//
// Without a base URL the credential is on the request that the user's own proxy logs at the level
// DEBUG, which the documentation says.
func TestLeaks(t *testing.T) {
	t.Run("base URL", func(t *testing.T) { testLeaks(t, "DEBUG", true) })
	t.Run("handler alone", func(t *testing.T) { testLeaks(t, "INFO", false) })
}

func testLeaks(t *testing.T, level string, withBase bool) {
	secrets := newScanner(canaries)
	for name, secret := range canaries {
		t.Setenv(name, secret)
	}
	autosave, dir := caddy.ConfigAutosavePath, t.TempDir()
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	t.Cleanup(func() { caddy.ConfigAutosavePath = autosave })

	// This API answers with the whole request, in each field that a client follows.
	var mu sync.Mutex
	var signatures []string
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	api := rig.NewAPI(t, func(request string) string {
		s := strings.SplitN(request, "\r\n", 2)
		uri := strings.Fields(s[0])[1]
		for line := range strings.SplitSeq(request, "\r\n") {
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "X-Appsmith-Signature") {
				mu.Lock()
				signatures = append(signatures, value)
				mu.Unlock()
			}
		}
		switch {
		case strings.Contains(uri, "/hold"):
			held <- struct{}{}
			<-hold
			return rig.OK("held")
		case strings.Contains(uri, "/close"):
			return ""
		case strings.Contains(uri, "/401"):
			return rig.Response("401 Unauthorized", "WWW-Authenticate: Bearer\r\n"+echoed(request), "no")
		case strings.Contains(uri, "/trailers"):
			links := "Link: <http://" + uri + ">; rel=next\r\nLocation: " + uri + "\r\nContent-Location: " + uri + "\r\nRefresh: 0; url=" + uri + "\r\n"
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Link, Location\r\n\r\n2\r\nok\r\n0\r\n" + links + echoed(request) + "\r\n"
		}
		var links strings.Builder
		_, query, _ := strings.Cut(uri, "?")
		for _, url := range []string{
			uri, "https://other.test" + uri, "?" + query, "??" + query, uri + "#x", "/login?next=" + uri, "/login?next=" + url.QueryEscape(uri) + "&a=b",
			"/login?next=" + url.QueryEscape("https://other.test/?next="+url.QueryEscape(uri)), "#" + query, "/#/x?" + query, "/login#next=" + url.QueryEscape(uri),
		} {
			fmt.Fprintf(&links, "Link: <%s>; rel=next\r\n", url)
			fmt.Fprintf(&links, "Refresh: 0; url=%s\r\n", url)
		}
		fmt.Fprintf(&links, "Location: %s\r\nContent-Location: http://other.test%s\r\n%s", uri, uri, echoed(request))
		return "HTTP/1.1 103 Early Hints\r\n" + links.String() + "\r\n" + rig.Response("302 Found", links.String(), "ok")
	})
	mirror := newMirror(t)
	dead, distrusted := rig.Free(t), newDistrusted(t)

	// One datasource for each method, at an API that answers, on both ways to it, at one that nobody
	// listens at, one that says no HTTP, and one whose TLS fails; and all without a base URL.
	var site strings.Builder
	var prefixes []string
	for name, options := range methods {
		signed := options + "\nsignature {env.CANARY_SIGNATURE}..."
		if !withBase {
			for kind, proxy := range map[string]string{"plain": "", "transport": " {\ntransport authenticated_api\n}"} {
				prefix := "/" + name + "-" + kind
				prefixes = append(prefixes, prefix)
				fmt.Fprintf(&site, "handle_path %s/* {\nauthenticated_api {\nname %s\n%s\n}\nreverse_proxy %s%s\n}\n", prefix, name+"-"+kind, signed, api.Addr, proxy)
			}
			continue
		}
		for kind, base := range map[string]string{
			"api": "http://" + api.Addr + "/v1/public", "proxied": "http://" + api.Addr + "/v1/public",
			"dead": "http://" + dead, "mirror": "http://" + mirror, "tls": "https://" + distrusted,
		} {
			prefix := "/" + name + "-" + kind
			prefixes = append(prefixes, prefix)
			seen := ""
			if kind == "proxied" { // an option of Caddy's proxy, which sends these requests then
				seen = "header_down X-Seen \"{http.request.header.Authorization} {http.request.uri}\"\n"
			}
			fmt.Fprintf(&site, "handle_path %s/* {\nauthenticated_api %s {\nname %s\n%s\n%s}\n}\n", prefix, base, name+"-"+kind, signed, seen)
		}
	}
	fmt.Fprintf(&site, `log_append seen "%s"
log_append exchange {http.vars.authenticated_api.exchange}
log_append exchange_too authenticated_api.exchange
header >X-Seen-Late "{http.request.header.Authorization} {http.request.header.X-Api-Key} {http.request.uri}"
handle_errors {
	header Content-Type text/html
	templates
	respond `+"`"+`%s %s`+"`"+`
}
log {
	output file %s
	format json
}
`, "{http.request.header.*} {http.request.header.Authorization} {http.request.header.X-Api-Key} {http.request.uri}", everyPlaceholder(), tellAll, filepath.Join(dir, "access.json"))

	admin := rig.Free(t)
	global := fmt.Sprintf(`admin %s
servers {
	trace
	metrics
}
log default {
	output file %s
	format json
	level %[4]s
}
log second {
	output file %[3]s
	format console
	level %[4]s
}
`, admin, filepath.Join(dir, "log.json"), filepath.Join(dir, "log.txt"), level)
	g := start(t, global, site.String())

	for _, c := range clients(t, g) {
		for _, prefix := range prefixes {
			for _, req := range []request{
				{target: prefix + "/x?a=b"},
				{method: http.MethodPost, target: prefix + "/x", body: "body"},
				{target: prefix + "/../x"},
				{target: prefix + "/x", fields: [][2]string{{"origin", "https://evil.test"}, {"sec-fetch-site", "cross-site"}}, method: http.MethodPut},
				{target: prefix + "/close"},
				{target: prefix + "/401"},
				{target: prefix + "/trailers"},
				{method: http.MethodTrace, target: prefix + "/x"},
			} {
				r := c.do(req)
				text := fmt.Sprint(r.status, r.err, r.header, r.interim, r.trailer, r.body)
				secrets.wantNone(t, c.name()+" "+req.target+": the response", text)
				if t.Failed() {
					t.Fatalf("the client got %s", text)
				}
			}
		}
	}

	// The secrets were sent: what was never sent cannot leak.
	var all strings.Builder
	for _, raw := range api.Requests() {
		all.WriteString(raw)
	}
	for name, secret := range canaries {
		if name == "CANARY_SIGNATURE" {
			continue // it signs, and is not sent
		}
		if len(newScanner(map[string]string{name: secret}).find(all.String())) == 0 {
			t.Errorf("%s was never sent", name)
		}
	}
	// A signature is good for ten minutes.
	mu.Lock()
	for i, signature := range signatures {
		secrets.forms[signature[strings.LastIndexByte(signature, '.'):]] = fmt.Sprintf("signature %d", i)
	}
	mu.Unlock()

	// The dump of goroutines is taken while a request is under way.
	under := make(chan reply)
	go func() {
		under <- (&h1Client{addr: g.plain}).do(request{target: map[bool]string{true: "/bearer-api/hold", false: "/bearer-plain/hold"}[withBase]})
	}()
	<-held
	for _, path := range []string{
		"/config/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1", "/debug/vars", "/metrics", "/reverse_proxy/upstreams",
		"/config/apps/authenticated_api", "/pki/ca/local",
	} {
		res, err := http.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		secrets.wantNone(t, "admin "+path, string(body))
		if path == "/config/" && !strings.Contains(string(body), "{env.CANARY_BEARER}") {
			t.Error("/config/ does not show the placeholder")
		}
		if path == "/metrics" && !strings.Contains(string(body), "caddy_http_requests_total") {
			t.Error("/metrics does not show requests")
		}
	}
	close(hold)
	<-under

	if err := caddy.Stop(); err != nil { // which writes the logs out
		t.Error(err)
	}
	for _, name := range []string{"log.json", "log.txt", "access.json", "autosave.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		secrets.wantNone(t, name, string(text))
		if name == "log.json" && withBase {
			// Otherwise there would be nothing to see.
			for _, want := range []string{"upstream roundtrip", `"logger":"http.handlers.reverse_proxy"`, "trace"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s has no %q in it", name, want)
				}
			}
		}
		if t.Failed() {
			if i := slices.IndexFunc(strings.Split(string(text), "\n"), func(line string) bool { return len(secrets.find(line)) > 0 }); i >= 0 {
				t.Logf("%s", strings.Split(string(text), "\n")[i])
			}
		}
	}
}

// newMirror runs a server that sends back the bytes that it gets, which are no response.
func newMirror(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				n, _ := conn.Read(buf)
				_, _ = conn.Write(buf[:n])
			}()
		}
	}()
	return ln.Addr().String()
}

// newDistrusted runs a server whose certificate nobody trusts.
func newDistrusted(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}
