// SPDX-License-Identifier: Apache-2.0

// Package clients runs the programs and SDKs that people use against real servers, and against
// faithful ones where a real one cannot be had: directly with the credential, and through a
// gateway without. Each step must have the same result on both ways, or be in the table of
// docs/clients.md.
package clients

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestMain(m *testing.M) {
	if os.Getenv(asMCPClient) != "" {
		mcpDay()
		return
	}
	os.Exit(rig.Main(m, nil))
}

// key is the credential: direct callers have it, callers of the gateway do not.
const key = "c0rrect-h0rse"

// unused is for clients that refuse to start without a credential. The gateway removes it.
const unused = "unused"

// way is how a client reaches an API.
type way struct {
	name string
	url  string // the base URL that the client is configured with, without a slash at the end
	api  string // the base URL of the API
	key  string // the credential, or unused
}

// direct reports whether the client speaks to the API itself.
func (w way) direct() bool { return w.key == key }

// host returns the host and port that the client speaks to.
func (w way) host() string { return hostOf(w.url) }

func hostOf(address string) string {
	u, _ := url.Parse(address)
	return u.Host
}

// service is an API, and the gateway's configuration for it.
type service struct {
	// start runs the API until the test ends, with nothing in it, and returns its base URL.
	start func(t *testing.T) string

	// lines stand in the block of the directive.
	lines string

	// global stands in the block of global options.
	global string

	// apart runs the gateway in a process of its own, where a race of Caddy's fails no test: its
	// bodyNopCloserIfNotRead may be read and closed at once, when an answer over HTTP/2 does not
	// wait for the request.
	apart bool

	// forms are the places of the route. nil: at the root of a site, and below a path of it.
	forms []form
}

// form is a place of the route in a site, and where clients find it. DIRECTIVE in the site stands
// for the directive.
type form struct {
	name, site, path string
}

var (
	atRoot    = form{"root", "DIRECTIVE", ""}
	belowPath = form{"prefix", "handle_path /gw/* {\nDIRECTIVE\n}", "/gw"}
)

// gateway runs a Caddy in front of an API until the test ends, and returns the way through it.
// The gateway has another host name than the API, localhost in place of 127.0.0.1.
func (s service) gateway(t *testing.T, f form, api string) way {
	t.Helper()
	directive := fmt.Sprintf("authenticated_api %s {\n%s\n}", api, s.lines)
	site := strings.ReplaceAll(f.site, "DIRECTIVE", directive)
	config := fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\ndefault_bind 127.0.0.1\n%s\n}\n"+
		"http://localhost:PORT {\n%s\n}\n", s.global, site)
	if s.apart {
		return way{name: f.name, url: "http://localhost:" + startApart(t, config) + f.path, api: api, key: unused}
	}
	_, port, _ := strings.Cut(rig.Start(t, config), ":")
	return way{name: f.name, url: "http://localhost:" + port + f.path, api: api, key: unused}
}

// startApart runs a Caddy in a process of its own until the test ends, and returns its port.
func startApart(t *testing.T, config string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr := rig.Free(t)
	_, port, _ := strings.Cut(addr, ":")
	w := newWorld(t, rig.AsCaddy+"=1")
	w.begin(t, addr, self, "run", "--config", w.write(t, "Caddyfile", strings.ReplaceAll(config, "PORT", port)), "--adapter", "caddyfile")
	return port
}

// compare has a client use an API directly, and then through the gateway in each form, each time
// with a new API. A step whose result differs fails the test, unless docs/clients.md has a row
// about it for that client.
func compare(t *testing.T, client string, s service, use func(t *testing.T, w way) transcript) {
	t.Helper()
	var direct transcript
	t.Run("direct", func(t *testing.T) {
		api := strings.TrimSuffix(s.start(t), "/")
		w := way{name: "direct", url: api, api: api, key: key}
		direct = use(t, w).relativeTo(w)
		for _, step := range direct {
			t.Log(step)
			if step.failed {
				t.Errorf("directly, %s", step)
			}
		}
		if len(direct) == 0 {
			t.Error("the client has done nothing")
		}
	})
	if t.Failed() || len(direct) == 0 {
		return
	}
	forms := s.forms
	if forms == nil {
		forms = []form{atRoot, belowPath}
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			w := s.gateway(t, f, s.start(t))
			got := use(t, w).relativeTo(w)
			got.wantLike(t, client, direct)
		})
	}
}

// guarded returns a handler that serves only requests whose header field has that value, and
// hides the field from the handler behind. It is for servers that have no credential of their
// own.
func guarded(field, value string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Values(field); len(got) != 1 || got[0] != value {
			scheme, _, _ := strings.Cut(value, " ")
			w.Header().Set("WWW-Authenticate", scheme+` realm="api"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"code":401,"message":"no credential, no answer"}}`)
			return
		}
		r.Header.Del(field)
		next.ServeHTTP(w, r)
	})
}

// serve runs a server until the test ends and returns its URL.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// serveAt runs a server at an address until the test ends and returns its URL.
func serveAt(t *testing.T, addr string, handler http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// behind returns a handler in front of a server. It leaves Host as it is, since servers make
// links of it.
func behind(addr string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", addr },
		FlushInterval: -1,
	}
}
