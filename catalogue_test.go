// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// startCatalogue runs a gateway with a catalogue below /apis/ and one at the top of another path.
func startCatalogue(t *testing.T, api string) (gateway string) {
	t.Helper()
	return rig.Start(t, "http://GATEWAY {\nhandle_path /apis/* {\nauthenticated_apis {\n"+
		"crm http://"+api+"/v2?format=json {\nauth bearer canary-token-crm\n}\n"+
		"hr-2 http://"+api+"/hr/ {\nauth api_key X-Key canary-key-hr\n}\n"+
		"bare http://"+api+"\n}\n}\n"+
		"handle {\nauthenticated_apis {\ntop http://"+api+"/top {\nauth bearer canary-token-top\n}\n}\n}\n}")
}

// catalogueOf returns a catalogue of n entries: api00000, api00001 and so on.
func catalogueOf(n int, api string) string {
	var b strings.Builder
	b.WriteString("authenticated_apis {\n")
	for i := range n {
		fmt.Fprintf(&b, "api%05d http://%s {\nauth bearer token-of-%05d\n}\n", i, api, i)
	}
	return b.String() + "}\n"
}

// TestCatalogueRouting: which API gets a request, and what it is asked for.
func TestCatalogueRouting(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := startCatalogue(t, api.Addr)
	const crm, hr, top, none = "Authorization: Bearer canary-token-crm", "X-Key: canary-key-hr", "Authorization: Bearer canary-token-top", ""
	for _, test := range []struct{ target, want, credential string }{
		{"/apis/crm/customers?a=1", "/v2/customers?format=json&a=1", crm},
		{"/apis/crm/", "/v2/?format=json", crm},
		{"/apis/crm", "/v2?format=json", crm},
		{"/apis/crm?x=%20", "/v2?format=json&x=%20", crm},
		{"/apis/hr-2", "/hr/", hr},
		{"/apis/hr-2/a%2Fb/c%20d/e", "/hr/a%2Fb/c%20d/e", hr},
		{"/apis/hr-2/%68r-2", "/hr/%68r-2", hr},
		{"/apis/bare/x", "/x", none},
		{"/apis/bare", "/", none},
		// A name may be escaped, and is unescaped once, as by Caddy's matchers of paths.
		{"/apis/%63rm/a%62/x", "/v2/a%62/x?format=json", crm},
		{"/apis//crm/x", "/v2/x?format=json", crm},
		{"/top/x", "/top/x", top},
		{"/top", "/top", top},
		{"//top/x", "/top/x", top},
		{"/%74op/%2e/x//y%2Fz", "/top/%2e/x//y%2Fz", top},
		{"/top/top/%2523", "/top/top/%2523", top},
	} {
		res := rig.Get(t, gateway, test.target, "")
		if res.StatusCode != 200 {
			t.Errorf("%s is answered with %d %s", test.target, res.StatusCode, res.Text)
			continue
		}
		lines := []string{"GET " + test.want + " HTTP/1.1", "Host: " + api.Addr}
		if test.credential != none {
			lines = append(lines, test.credential)
		}
		wantHead(t, one(t, api), lines...)
	}
}

// TestCatalogueLikeRoutes: a request gets from an entry what it gets from an authenticated_api
// below handle_path.
func TestCatalogueLikeRoutes(t *testing.T) {
	api := rig.NewAPI(t, func(string) string {
		return rig.Response("201 Created", "Location: /v2/made\r\nLink: </v2/x>; rel=next\r\nSet-Cookie: a=b; Path=/v2/x\r\n", "ok")
	})
	block := "http://" + api.Addr + "/v2 {\nauth bearer canary-token\npass_response_header Set-Cookie\n}\n"
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /route/one* {\nauthenticated_api "+strings.Replace(block, "{\n", "{\nname two\n", 1)+"}\n"+
		"handle_path /catal/* {\nauthenticated_apis {\none "+block+"}\n}\n}")
	for _, rest := range []string{"", "/", "/x", "/x/", "//x", "/x%2Fy", "/x/..%2fy", "/a;b", "/x?y=1&z", "/%zz", "/\xff", "/x%00", "/%e4", "/*"} {
		var got []string
		for _, prefix := range []string{"/route/one", "/catal/one"} {
			replies := rig.Exchange(t, gateway, "MOVE "+prefix+rest+" HTTP/1.1\r\nHost: "+gateway+"\r\nDestination: http://"+gateway+prefix+"/to\r\n\r\n", 1)
			sent := api.Requests()
			for i := range sent {
				sent[i] = strings.Join(rig.Lines(sent[i]), "\n")
			}
			replies[0].Header.Del("Date")
			got = append(got, strings.ReplaceAll(fmt.Sprintln(sent, replies[0].StatusCode, replies[0].Header,
				strings.ReplaceAll(replies[0].Text, `"datasource":"two"`, `"datasource":"one"`)), prefix, "PREFIX"))
		}
		if got[0] != got[1] {
			t.Errorf("%q: a route answers\n%s\nthe catalogue\n%s", rest, got[0], got[1])
		}
		if rest == "/x" && (!strings.Contains(got[1], "Location:[PREFIX/made]") || !strings.Contains(got[1], "Path=PREFIX/x") ||
			!strings.Contains(got[1], "Link:[<PREFIX/x>; rel=next]") || !strings.Contains(got[1], "Destination: http://"+api.Addr+"/v2/to")) {
			t.Errorf("links are not mapped: %s", got[1])
		}
	}
}

// TestCatalogueUnknown: a name that no entry has is a 404 that names nobody.
func TestCatalogueUnknown(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := startCatalogue(t, api.Addr)
	for _, target := range []string{
		"/apis/", "/apis/none/x", "/apis/CRM/x", "/apis/crm%2Fx", "/apis/crm;a/x", "/apis/crm%00/x", "/apis/%2563rm/x", "/./top/x", "/%2e/top",
		"/apis/..%2fcrm/x", "/apis/crm%20/x", "/", "/x/top/y", "/apis/top/x", "/crm/x", "/apis/canary/x",
	} {
		res := rig.Get(t, gateway, target, "")
		var told map[string]any
		if err := json.Unmarshal([]byte(res.Text), &told); err != nil || res.StatusCode != 404 || told["type"] != "urn:authenticated-api:unknown-api" ||
			res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s is answered with %d %v %s", target, res.StatusCode, res.Header, res.Text)
		}
		for _, name := range []string{"crm", "hr-2", "bare", "canary"} {
			if strings.Contains(res.Text, name) {
				t.Errorf("%s: the answer has %q: %s", target, name, res.Text)
			}
		}
	}
	if res := rig.Get(t, gateway, "/top/../crm/x", ""); res.StatusCode != 400 || !strings.Contains(res.Text, "bad-path") {
		t.Errorf("a path that leaves an entry is answered with %d %s", res.StatusCode, res.Text)
	}
	if n := len(api.Requests()); n != 0 {
		t.Errorf("the API got %d requests", n)
	}
}

// TestCatalogueByPlaceholder: a placeholder says which API a request is for, and nothing is cut
// off.
func TestCatalogueByPlaceholder(t *testing.T) {
	api := rig.NewAPI(t, func(string) string { return rig.Response("201 Created", "Location: /v2/made\r\n", "") })
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_apis {\nname {http.request.header.X-Api}-api\n"+
		"crm-api http://"+api.Addr+"/v2 {\nauth bearer canary-token-crm\n}\nname http://"+api.Addr+" {\nauth bearer canary-token-name\n}\n}\n}")
	res := rig.Get(t, gateway, "/crm/x", "X-Api: crm\r\n")
	if request := one(t, api); !strings.HasPrefix(request, "GET /v2/crm/x HTTP/1.1\r\n") || !strings.Contains(request, "Bearer canary-token-crm\r\n") ||
		res.Header.Get("Location") != "/made" {
		t.Errorf("the API got %q, the client %d %v", request, res.StatusCode, res.Header)
	}
	for _, header := range []string{"", "X-Api: \r\n", "X-Api: CRM\r\n", "X-Api: %63rm\r\n", "X-Api: name\r\n"} {
		if res := rig.Get(t, gateway, "/crm-api/x", header); res.StatusCode != 404 || !strings.Contains(res.Text, "unknown-api") {
			t.Errorf("%q: %d %s", header, res.StatusCode, res.Text)
		}
	}
}

// TestCatalogueShares: entries whose transports have the same settings share connections, and
// others do not.
func TestCatalogueShares(t *testing.T) {
	api, other := rig.NewAPI(t, nil), rig.NewAPI(t, nil)
	entry := func(name, block string) string {
		return name + " http://" + api.Addr + " {\nauth bearer canary-token-" + name + "\n" + block + "}\n"
	}
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_apis {\n"+entry("a", "")+entry("b", "replay off\nrefresh_on 403\n")+
		entry("c", "transport http {\ndial_timeout 7s\n}\n")+entry("d", "transport http {\ndial_timeout 7s\n}\n")+entry("e", "proxy reverse_proxy\n")+
		"f http://"+other.Addr+" {\nauth bearer canary-token-f\n}\n}\n}")
	for i, want := range []struct {
		name  string
		conns int
	}{{"a", 1}, {"b", 1}, {"a", 1}, {"c", 2}, {"d", 2}, {"f", 2}, {"a", 2}, {"e", 3}, {"b", 3}} {
		res := rig.Get(t, gateway, "/"+want.name+"/x", "")
		if res.StatusCode != 200 || want.name != "f" && !strings.Contains(one(t, api), "Authorization: Bearer canary-token-"+want.name+"\r\n") {
			t.Fatalf("%d: %s is answered with %d %s", i, want.name, res.StatusCode, res.Text)
		}
		if api.Conns() != want.conns || want.name == "f" && other.Conns() != 1 {
			t.Errorf("%d: after a request to %s there are %d connections, want %d", i, want.name, api.Conns(), want.conns)
		}
	}
}

// TestCatalogueProxy: an entry may ask for Caddy's proxy and its options; and a request that asks
// for another protocol is served by any entry.
func TestCatalogueProxy(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "Upgrade: websocket") {
			return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
		}
		return rig.Response("201 Created", "Location: /v1/made\r\n", "")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /apis/* {\nauthenticated_apis {\n"+
		"caddys http://"+api.Addr+"/v1 {\nauth bearer canary-token\nheader_up X-Up yes\nrefresh_on 403\n}\n"+
		"own http://"+api.Addr+"/v1 {\nauth bearer canary-token\n}\n}\n}\n}")
	res := rig.Get(t, gateway, "/apis/caddys/x?a=1", "")
	wantHead(t, one(t, api), "GET /v1/x?a=1 HTTP/1.1", "Host: "+api.Addr, "Authorization: Bearer canary-token", "X-Up: yes")
	if got := res.Header.Get("Location"); got != "/apis/caddys/made" {
		t.Errorf("the link leads to %s", got)
	}
	var open []net.Conn
	for range 3 {
		for _, name := range []string{"caddys", "own"} {
			conn, err := net.Dial("tcp", gateway) //nolint:noctx // a test
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, "GET /apis/"+name+"/ws HTTP/1.1\r\nHost: "+gateway+
				"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%s: %v %v", name, res, err)
			}
			if request := one(t, api); !strings.HasPrefix(request, "GET /v1/ws HTTP/1.1\r\n") || !strings.Contains(request, "Bearer canary-token\r\n") {
				t.Errorf("the API got %s", request)
			}
			// Only when something has passed does Caddy's proxy know the connection.
			if _, err := io.WriteString(conn, "GET /in-the-tunnel HTTP/1.1\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusCreated {
				t.Fatalf("%s: %v %v", name, res, err)
			}
			api.Requests()
			open = append(open, conn)
		}
	}
	if err := rig.Load("http://" + rig.Free(t) + " {\nrespond ok\n}"); err != nil {
		t.Fatal(err)
	}
	for _, conn := range open {
		const goingAway = "\x88\x02\x03\xe9"
		if rest, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(rest), goingAway) {
			t.Errorf("after a reload the client got %q, %v", rest, err)
		}
	}
}

// TestCatalogueReload: tokens, and requests that are under way, survive a reload that adds an
// entry; files of entries are read anew.
func TestCatalogueReload(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	var issued atomic.Int32
	provider := rig.NewAPI(t, func(string) string {
		return rig.Response("200 OK", "Content-Type: application/json\r\n", fmt.Sprintf(`{"access_token":"canary-%d","expires_in":3600}`, issued.Add(1)))
	})
	asked, hold := make(chan struct{}, 1), make(chan struct{})
	api := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /slow ") {
			asked <- struct{}{}
			<-hold
		}
		return rig.OK("ok")
	})
	dir := t.TempDir()
	file := func(name string) {
		write(t, filepath.Join(dir, name+".caddyfile"), name+" http://"+api.Addr+" {\nauth oauth2 client_credentials {\ntoken_url http://"+provider.Addr+
			"/token\nclient_id me\nclient_secret secret\n}\n}\n")
	}
	file("one")
	config := "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 20s\nstorage file_system " + t.TempDir() + "\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\n" +
		"http://GATEWAY {\nauthenticated_apis {\nimport " + filepath.ToSlash(dir) + "/*.caddyfile\n}\n}"
	gateway := rig.Start(t, config)
	wantOK(t, rig.Get(t, gateway, "/one/x", ""))
	if res := rig.Get(t, gateway, "/two/x", ""); res.StatusCode != 404 {
		t.Errorf("two is answered with %d", res.StatusCode)
	}
	slow := make(chan []*rig.Reply, 1)
	go func() {
		replies, _ := rig.TryExchange(gateway, "GET /one/slow HTTP/1.1\r\nHost: "+gateway+"\r\nConnection: close\r\n\r\n", 1)
		slow <- replies
	}()
	rig.Receive(t, asked, "the slow request")
	file("two")
	loaded := make(chan error, 1)
	go func() { loaded <- rig.Load(strings.ReplaceAll(config, "GATEWAY", gateway)) }()
	waitFor(t, "the new entry", func() bool {
		replies, err := rig.TryExchange(gateway, "GET /two/x HTTP/1.1\r\nHost: "+gateway+"\r\nConnection: close\r\n\r\n", 1)
		return err == nil && len(replies) == 1 && replies[0].StatusCode == 200
	})
	close(hold)
	if err := rig.Receive(t, loaded, "the reload"); err != nil {
		t.Fatal(err)
	}
	if replies := rig.Receive(t, slow, "the answer"); len(replies) != 1 || replies[0].Text != "ok" {
		t.Errorf("the slow request is answered with %v", replies)
	}
	api.Requests()
	wantOK(t, rig.Get(t, gateway, "/one/x", ""))
	if request := one(t, api); !strings.Contains(request, "Authorization: Bearer canary-1\r\n") || issued.Load() != 2 {
		t.Errorf("after the reload the API got %s, and %d tokens were issued", request, issued.Load())
	}
}

// TestCatalogueMistakes: what JSON can say that a Caddyfile cannot, each with the entry's name and
// no secret.
func TestCatalogueMistakes(t *testing.T) {
	for config, want := range map[string]string{
		`"apis":{}`: "apis: there is none",
		`"name":"canary-x","apis":{"crm":{"base_url":"http://127.0.0.1:1"}}`:                                            "name: a word of 8 characters has no placeholder",
		`"apis":{"-crm":{"base_url":"http://127.0.0.1:1"}}`:                                                             "does not fit",
		`"apis":{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":{"base_url":"http://127.0.0.1:1"}}`: "does not fit",
		`"apis":{"Crm.x":{"base_url":"http://127.0.0.1:1"}}`:                                                            "does not fit",
		`"apis":{"":{"base_url":"http://127.0.0.1:1"}}`:                                                                 "does not fit",
		`"apis":{"..":{"base_url":"http://127.0.0.1:1"}}`:                                                               "does not fit",
		`"apis":{"crm":{}}`:   "apis: crm: base_url: a base URL is missing",
		`"apis":{"crm":null}`: "apis: crm: base_url: a base URL is missing",
		`"apis":{"crm":{"name":"hr","base_url":"http://127.0.0.1:1"}}`:                                            "apis: crm: name: its name is its key",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","auth":{"method":"bearer","token":"{env.NO_SUCH_ENV}"}}}`: "apis: crm: ",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","transport":{"datasource":"x"}}}`:                         "apis: crm: transport: datasource: ",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","proxy":{"handler":"static_response"}}}`:                  "apis: crm: proxy: it is no reverse_proxy",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","proxy":{"handler":"reverse_proxy"}}}`:                    "apis: crm: proxy: it is no reverse_proxy",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","proxy":{"handler":"canary-x"}}}`:                         "apis: crm: proxy: there is no handler",
		`"apis":{"crm":{"base_url":"http://127.0.0.1:1","transport":{},"proxy":{"handler":"reverse_proxy"}}}`:     "apis: crm: proxy: the transport belongs to the proxy",
	} {
		err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[`+
			`{"handler":"authenticated_apis",`+config+`}]}]}}}}}`), true)
		if err == nil {
			_ = caddy.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

// TestCatalogueAccount: an entry whose users have accounts of their own, and the console: the
// refusal says where to connect, the account is connected there, and requests are served with it.
func TestCatalogueAccount(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	logFile := filepath.Join(t.TempDir(), "log")
	gateway := rig.Free(t)
	provider := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /authorize?") {
			state := regexp.MustCompile(`state=([^&\s]+)`).FindStringSubmatch(request)[1]
			return rig.Response("302 Found", "Location: http://"+gateway+"/connect/callback?code=a-code&state="+state+"\r\n", "")
		}
		return rig.Response("200 OK", "Content-Type: application/json\r\n", `{"access_token":"canary-access","refresh_token":"canary-refresh","expires_in":3600}`)
	})
	api := rig.NewAPI(t, nil)
	entry := func(name string) string {
		return name + " http://" + api.Addr + "/v1 {\nauth oauth2 authorization_code {\nauthorization_url http://" + provider.Addr + "/authorize\ntoken_url http://" + provider.Addr +
			"/token\nclient_id me\nclient_secret canary-secret\nredirect_url http://" + gateway + "/connect/callback\nconnection {http.request.header.X-User} trusted\n}\n}\n"
	}
	if err := rig.Load("{\nadmin off\npersist_config off\nauto_https off\nstorage file_system " + t.TempDir() + "\nlog {\noutput file " + logFile + "\n}\n" +
		"authenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://" + gateway + " {\nlog\nhandle_path /connect/* {\nbasic_auth {\n" +
		"ann $2a$10$SI7bp/WxnML15vrnGTp9fuqLzMdsFjy5NTmkpEs318ry5HrymLoA2\n}\nrequest_header X-User {http.auth.user.id}\nauthenticated_api_console {\nuser {http.request.header.X-User}\n}\n}\n" +
		"handle_path /apis/* {\nauthenticated_apis {\n" + entry("crm") + entry("hr") + "}\n}\n}"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()
	res := rig.Get(t, gateway, "/apis/crm/x", "X-User: ann\r\n")
	if res.StatusCode != 401 || !strings.Contains(res.Text, `"connect_url":"http://`+gateway+`/connect/"`) || !strings.Contains(res.Text, `"datasource":"crm"`) {
		t.Errorf("without an account ann gets %d %s", res.StatusCode, res.Text)
	}
	v := newVisitor(t, "http://"+gateway, "ann", "ann")
	v.open("http://"+gateway+"/connect/").wants(200, "http://"+gateway, "hr")
	v.press("Connect").wants(200, "http://"+gateway+"/connect/?at=crm&did=connected", "The account is connected")
	wantOK(t, rig.Get(t, gateway, "/apis/crm/x", "X-User: ann\r\n"))
	if request := one(t, api); !strings.HasPrefix(request, "GET /v1/x HTTP/1.1\r\n") || !strings.Contains(request, "Authorization: Bearer canary-access\r\n") {
		t.Errorf("the API got %s", request)
	}
	for _, other := range []string{"/apis/hr/x", "/apis/crm/x"} {
		user := map[string]string{"/apis/hr/x": "ann", "/apis/crm/x": "ben"}[other]
		if res := rig.Get(t, gateway, other, "X-User: "+user+"\r\n"); res.StatusCode != 401 {
			t.Errorf("%s: %s gets %d %s", other, user, res.StatusCode, res.Text)
		}
	}
	// Nothing of this is in the log, which says whose requests they were.
	text, err := os.ReadFile(logFile)
	if err != nil || strings.Contains(string(text), "canary") {
		i := strings.Index(string(text), "canary")
		t.Errorf("the log has a secret: %v %s", err, text[max(0, i-600):i+100])
	}
	var served bool
	for _, entry := range rig.Logged(t, logFile, "handled request") {
		served = served || entry["datasource"] == "crm" && entry["connection"] == "ann"
	}
	if !served {
		t.Error("the access log does not say that crm has served ann")
	}
}
