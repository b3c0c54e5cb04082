// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// hangsUp is an API that closes its connections without an answer.
func hangsUp(t *testing.T) string {
	return rig.NewAPI(t, func(string) string { return "" }).Addr
}

// silent is an API that never answers.
func silent(t *testing.T) string {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return rig.NewAPI(t, func(string) string { <-release; return "" }).Addr
}

// TestUnreachable: an API that cannot be reached, or gives no answer, is a problem to the caller,
// and in the log there is what can be done.
func TestUnreachable(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for name, tt := range map[string]struct {
		base, block string
		status      int
		cause       string
		remedy      string
	}{
		"nothing listens":   {base: "http://" + rig.Free(t), status: 502, cause: "connection refused", remedy: "nothing listens there"},
		"no such name":      {base: "http://no-such-host.invalid", status: 502, cause: "no-such-host.invalid", remedy: "name"},
		"unknown authority": {base: secure.URL, status: 502, cause: "x509: ", remedy: "self_signed_cert"},
		"another name":      {base: strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), block: "self_signed_cert \"" + certOf(secure) + "\"", status: 502, cause: "localhost", remedy: "tls_server_name"},
		"https for http":    {base: strings.Replace(plain.URL, "http", "https", 1), status: 502, cause: "TLS handshake", remedy: "write http://"},
		"http for https":    {base: strings.Replace(secure.URL, "https", "http", 1), status: 400},
		"no HTTP":           {base: "http://" + rig.NewAPI(t, func(string) string { return "SSH-2.0-canary\r\n\r\n" }).Addr, status: 502, cause: "malformed HTTP response", remedy: "https://"},
		"closes":            {base: "http://" + hangsUp(t), status: 502, cause: "EOF", remedy: "closed the connection"},
		"slow":              {base: "http://" + silent(t), block: "transport http {\nresponse_header_timeout 50ms\n}", status: 504, cause: "timeout awaiting response headers", remedy: "response_header_timeout"},
		"metadata":          {base: "http://169.254.169.254", status: 502, cause: "never dialled", remedy: "allow_dial 169.254.169.254"},
		"link-local":        {base: "http://169.254.1.2", status: 502, cause: "never dialled", remedy: "allow_dial 169.254.1.2"},
		"101": {base: "http://" + rig.NewAPI(t, func(string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
		}).Addr, status: 502, cause: "101", remedy: "no HTTP API"},
		"behind a bad proxy": {base: "https://api.example", block: "transport http {\nnetwork_proxy url http://" + rig.NewAPI(t, func(string) string { return rig.Response("403 Canary", "", "") }).Addr + "\n}", status: 502, cause: "403", remedy: "network_proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel INFO\n}\n}\nhttp://GATEWAY {\n"+
				"authenticated_api "+tt.base+" {\nname crm\nauth bearer canary\n"+tt.block+"\n}\n}")
			res := rig.Get(t, gateway, "/x", "")
			if res.StatusCode != tt.status {
				t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
			}
			if tt.cause == "" { // it is the API's own answer
				return
			}
			wantUnreachable(t, res, tt.status)
			said := read(t, log)
			if strings.Contains(strings.ToLower(said+res.Text), "canary") {
				t.Errorf("the log or the answer shows what it must not: %s", said)
			}
			var found int
			for _, line := range logLines(t, log) {
				if line["level"] != "error" {
					continue
				}
				found++
				if line["datasource"] != "crm" || line["upstream"] == "" || !strings.Contains(line["error"].(string), tt.cause) || !strings.Contains(line["remedy"].(string), tt.remedy) {
					t.Errorf("the log has %v", line)
				}
			}
			if found != 1 {
				t.Errorf("the log has %d errors: %s", found, said)
			}
		})
	}
}

func certOf(server *httptest.Server) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
}

func wantUnreachable(t *testing.T, res *rig.Reply, status int) {
	t.Helper()
	var p struct {
		Type, Datasource string
		Status           int
	}
	err := json.Unmarshal([]byte(res.Text), &p)
	if err != nil || p.Type != "urn:authenticated-api:api-unreachable" || p.Datasource != "crm" || p.Status != status || res.Header.Get("Content-Type") != "application/problem+json" ||
		res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the client got %v %s", res.Header, res.Text)
	}
}

// TestUnreachableErrorRoutes: a site's own error routes come first where they take the error, with
// the placeholders.
func TestUnreachableErrorRoutes(t *testing.T) {
	const tell = "respond \"{http.authenticated_api.datasource} {http.authenticated_api.error_code} {err.status_code}: {err.message}\" 599"
	down := rig.Free(t)
	for name, tt := range map[string]struct {
		options, routes string
		want            int // 599: by the error route; 502 with an empty body: by none
	}{
		"none":                   {routes: "", want: 502},
		"all errors":             {routes: "handle_errors {\n" + tell + "\n}", want: 599},
		"this one":               {routes: "handle_errors 502 504 {\n" + tell + "\n}", want: 599},
		"5xx":                    {routes: "handle_errors 5xx {\n" + tell + "\n}", want: 599},
		"another":                {routes: "handle_errors 404 {\n" + tell + "\n}", want: 502},
		"of another path":        {routes: "handle_errors {\nhandle /y/* {\n" + tell + "\n}\n}", want: 502},
		"of this path":           {routes: "handle_path /p/* {\nauthenticated_api http://" + down + " {\nname crm\nauth bearer t\n}\n}\nhandle_errors {\nhandle /p/* {\n" + tell + "\n}\n}", want: 599},
		"errors caddy":           {options: "errors caddy", routes: "handle_errors {\n" + tell + "\n}", want: 599},
		"errors caddy, no route": {options: "errors caddy", routes: "", want: 502},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+down+" {\nname crm\nauth bearer t\n"+tt.options+"\n}\n"+tt.routes+"\n}\nhttp://other.example:PORT {\nhandle_errors {\nrespond other\n}\n}")
			res := rig.Get(t, gateway, map[bool]string{true: "/p/x", false: "/x"}[name == "of this path"], "")
			if res.StatusCode != tt.want {
				t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
			}
			switch {
			case tt.want == 599:
				if !strings.HasPrefix(res.Text, "crm api-unreachable 502: ") || !strings.Contains(res.Text, "connection refused") {
					t.Errorf("the error route says %s", res.Text)
				}
			case tt.options != "":
				if res.Text != "" {
					t.Errorf("the client got %s", res.Text)
				}
			default:
				wantUnreachable(t, res, 502)
			}
		})
	}
}

// TestNoUpstreams: an API that is taken to be down is one that cannot be reached.
func TestNoUpstreams(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel INFO\n}\n}\nhttp://GATEWAY {\nauthenticated_api http://"+rig.Free(t)+
		" {\nname crm\nfail_duration 1m\nmax_fails 1\n}\n}")
	rig.Get(t, gateway, "/", "")
	_ = os.Truncate(log, 0)
	res := rig.Get(t, gateway, "/", "")
	if res.StatusCode != 503 {
		t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
	}
	wantUnreachable(t, res, 503)
	if said := read(t, log); !strings.Contains(said, "taken to be down") {
		t.Errorf("the log has %s", said)
	}
}

// TestUnreachableOwnProxy: it is the same for a proxy of one's own with the transport; one with
// another transport is left as it is.
func TestUnreachableOwnProxy(t *testing.T) {
	down, socket := rig.Free(t), filepath.Join(t.TempDir(), "none")
	log := filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel INFO\n}\n}\nhttp://GATEWAY {\nhandle /socket {\nauthenticated_api {\nname socket\n}\nreverse_proxy unix/"+socket+
		" {\ntransport authenticated_api {\ndatasource socket\n}\n}\n}\nhandle /ours {\nauthenticated_api {\nname crm\nauth bearer t\n}\nreverse_proxy http://"+down+" {\ntransport authenticated_api {\ndatasource crm\n}\n}\n}\n"+
		"handle /other {\nauthenticated_api {\nname other\nauth bearer t\n}\nreverse_proxy http://"+down+"\n}\n}")
	wantUnreachable(t, rig.Get(t, gateway, "/ours", ""), 502)
	if rig.Get(t, gateway, "/socket", ""); !strings.Contains(read(t, log), "there is no such socket") {
		t.Errorf("the log has %s", read(t, log))
	}
	if res := rig.Get(t, gateway, "/other", ""); res.StatusCode != 502 || res.Text != "" {
		t.Errorf("the client got %d %s", res.StatusCode, res.Text)
	}
}

// TestUnreachableClientGone: a client that has left is no fault of the API's.
func TestUnreachableClientGone(t *testing.T) {
	log, asked := filepath.Join(t.TempDir(), "log"), make(chan struct{})
	release := make(chan struct{})
	api := rig.NewAPI(t, func(string) string { close(asked); <-release; return "" })
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel INFO\n}\n}\nhttp://GATEWAY {\nlog\nauthenticated_api http://"+api.Addr+"\n}")
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n"))
	<-asked
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(read(t, log), "handled request") {
		// the access log has it when it is over
	}
	close(release)
	if said := read(t, log); strings.Contains(said, "remedy") || !strings.Contains(said, "499") {
		t.Errorf("the log has %s", said)
	}
}
