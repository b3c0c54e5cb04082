// SPDX-License-Identifier: Apache-2.0

//go:build !race

// The race detector allocates on its own account, so these tests are built without it: make test
// runs them apart.

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	authenticatedapi "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// cost is what the process allocates for one proxied request.
type cost struct{ mallocs, bytes float64 }

// measure counts the allocations of a Caddy for each of many requests on one connection. Client
// and API are in the same process, and allocate nothing.
func measure(t *testing.T, caddyfile, header string) cost {
	t.Helper()
	gateway := rig.Start(t, caddyfile)
	if strings.Contains(caddyfile, "oauth2") {
		connect(t, "", "ann")
	}
	return measureAt(t, gateway, "/v1/items", header)
}

// measureAt is measure for a Caddy that runs.
func measureAt(t *testing.T, gateway, target, header string) cost {
	t.Helper()
	conn, err := net.Dial("tcp", gateway) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET " + target + " HTTP/1.1\r\nHost: " + gateway + "\r\n" + header + "\r\n")
	r := bufio.NewReaderSize(conn, 16<<10)
	round := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		status := false
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !status {
				if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
					t.Fatalf("response %q", line)
				}
				status = true
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(2); err != nil { // "ok"
			t.Fatal(err)
		}
	}
	for range 500 {
		round()
	}
	// A collection in between empties pools: a copy buffer that is made anew is 32 bytes a request.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	best := cost{math.Inf(1), math.Inf(1)}
	for range 5 {
		const n = 1000
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			round()
		}
		runtime.ReadMemStats(&after)
		best.mallocs = min(best.mallocs, float64(after.Mallocs-before.Mallocs)/n)
		best.bytes = min(best.bytes, float64(after.TotalAlloc-before.TotalAlloc)/n)
	}
	return best
}

// configured is a Caddyfile's way to an API, and what a request costs at most beside Caddy's plain
// reverse_proxy: below zero it costs less.
type configured struct {
	name, block    string
	mallocs, bytes float64
}

// ways are the configurations that are counted. Caddy's own header_up costs 12 mallocs and 560
// bytes more than its plain reverse_proxy.
var ways = []configured{
	{"bearer", "auth bearer token", -72, -5900},
	{"bearer, mcp", "auth bearer token\nmcp", -72, -5900},
	{"basic", "auth basic user pass", -72, -5900},
	{"API key in a header", "auth api_key X-Api-Key key", -72, -5900},
	{"API key in the query", "auth api_key key value {\nin query\n}", -72, -5900},
	{"OAuth", account, -72, -5900},
	{"OAuth and a signature that is reused", account + "\nsignature 0123456789abcdef0123456789abcdef", -72, -5900},
	{"OAuth, and a signature for each request", account + "\nsignature 0123456789abcdef0123456789abcdef {\nclaim path {http.request.uri.path}\n}", -69, -5700},
	{"bearer, a signature, 8 fields and 2 parameters", "auth bearer token\nsignature 0123456789abcdef0123456789abcdef\n" +
		strings.Repeat("header +X-Field value\n", 8) + "query a b\nquery c d", -70, -5800},
	{"bearer, by Caddy's proxy", "auth bearer token\nproxy reverse_proxy", 5, 250},
	{"API key in the query, by Caddy's proxy", "auth api_key key value {\nin query\n}\nproxy reverse_proxy", 5, 250},
	{"OAuth and a signature, by Caddy's proxy", account + "\nsignature 0123456789abcdef0123456789abcdef\nproxy reverse_proxy", 5, 250},
}

// account is a person's account that all callers share.
const account = `auth oauth2 authorization_code {
	authorization_url https://provider.test/authorize
	token_url https://provider.test/token
	client_id id
	client_secret secret
	redirect_url http://localhost/callback
}`

// connect stores tokens of accounts in the running Caddy.
func connect(t *testing.T, connections ...string) {
	t.Helper()
	module, err := caddy.ActiveContext().App("authenticated_api")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range module.(*authenticatedapi.App).OAuth() {
		for _, connection := range connections {
			token := record.New(record.Issued{Access: "token of " + connection, Refresh: "refresh", Lifetime: time.Hour, Received: time.Now()}, record.Term{}, nil)
			if err := method.Source(connection).Install(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAllocsPerRequest holds the cost of a credentialed request against that of Caddy's plain
// reverse_proxy, and against the figures in docs.
func TestAllocsPerRequest(t *testing.T) {
	api := rig.QuietAPI(t)
	for name, header := range map[string]string{
		"curl":   "User-Agent: curl/8.0\r\nAccept: */*\r\n",
		"client": "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
	} {
		if name == "client" && testing.Short() {
			continue // it costs nearly the same
		}
		plain := measure(t, "http://GATEWAY {\nreverse_proxy http://"+api+"\n}", header)
		headerUp := measure(t, "http://GATEWAY {\nreverse_proxy http://"+api+" {\nheader_up Authorization \"Bearer token\"\n}\n}", header)
		t.Logf("%s: plain reverse_proxy %.1f mallocs, %.0f B; header_up %+.1f, %+.0f B", name, plain.mallocs, plain.bytes,
			headerUp.mallocs-plain.mallocs, headerUp.bytes-plain.bytes)
		for _, way := range ways {
			ours := measure(t, storing(t)+"http://GATEWAY {\nauthenticated_api http://"+api+" {\n"+way.block+"\n}\n}", header)
			mallocs, size := ours.mallocs-plain.mallocs, ours.bytes-plain.bytes
			t.Logf("%s: %-46s %.1f mallocs, %.0f B: %+.1f, %+.0f B", name, way.name, ours.mallocs, ours.bytes, mallocs, size)
			if mallocs > way.mallocs || size > way.bytes {
				t.Errorf("%s: %s costs %+.1f mallocs and %+.0f B, more than %+.0f and %+.0f", name, way.name, mallocs, size, way.mallocs, way.bytes)
			}
		}
	}
}

// TestAllocsCatalogue holds the last of 10,000 entries of a catalogue against the first, and
// against a route of its own.
func TestAllocsCatalogue(t *testing.T) {
	api := rig.QuietAPI(t)
	const header = "User-Agent: curl/8.0\r\nAccept: */*\r\n"
	alone := measureAt(t, rig.Start(t, "http://GATEWAY {\nhandle_path /api00000/* {\nauthenticated_api http://"+api+" {\nauth bearer token\n}\n}\n}"),
		"/api00000/items", header)
	gateway := rig.Start(t, "http://GATEWAY {\n"+catalogueOf(10_000, api)+"}")
	first, last := measureAt(t, gateway, "/api00000/items", header), measureAt(t, gateway, "/api09999/items", header)
	t.Logf("a route %.1f mallocs, %.0f B; first entry %.1f, %.0f B; last %.1f, %.0f B", alone.mallocs, alone.bytes, first.mallocs, first.bytes,
		last.mallocs, last.bytes)
	// What else happens in the process is a tenth of a malloc.
	if last.mallocs > first.mallocs+0.3 || last.bytes > first.bytes+50 {
		t.Errorf("the last entry costs %.1f mallocs and %.0f B, the first %.1f and %.0f", last.mallocs, last.bytes, first.mallocs, first.bytes)
	}
	if first.mallocs > alone.mallocs || first.bytes > alone.bytes {
		t.Errorf("an entry costs %.1f mallocs and %.0f B, a route of its own %.1f and %.0f", first.mallocs, first.bytes, alone.mallocs, alone.bytes)
	}
}

// TestAllocsSignature holds a signature that is made for each request against one that is used
// again: at most 2 mallocs and 400 bytes more.
func TestAllocsSignature(t *testing.T) {
	api := rig.QuietAPI(t)
	const header = "User-Agent: curl/8.0\r\nAccept: */*\r\n"
	block := func(claims string) string {
		return "http://GATEWAY {\nvars user ann@example.com\nauthenticated_api http://" + api +
			" {\nauth bearer token\nsignature 0123456789abcdef0123456789abcdef {\n" + claims + "\n}\n}\n}"
	}
	reused := measure(t, block("claim sub ann"), header)
	each := measure(t, block("claim sub {http.vars.user}"), header)
	mallocs, size := each.mallocs-reused.mallocs, each.bytes-reused.bytes
	t.Logf("%+.1f mallocs, %+.0f B", mallocs, size)
	// What else happens in the process is a tenth of a malloc.
	if mallocs > 2.3 || size > 400 {
		t.Errorf("a signature for each request costs %+.1f mallocs and %+.0f B, more than 2 and 400", mallocs, size)
	}
}

// TestAllocsPerUser holds the cost of a request with a user's own account against that of one with
// the account that all share.
func TestAllocsPerUser(t *testing.T) {
	api := rig.QuietAPI(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("pass"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	header := "User-Agent: curl/8.0\r\nAccept: */*\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann:pass")) + "\r\n"
	cost := func(handler string) cost {
		return measure(t, storing(t)+"http://GATEWAY {\nbasic_auth {\nann "+string(hash)+"\n}\n"+handler+"\n}", header)
	}
	headerUp := cost("reverse_proxy http://" + api + " {\nheader_up Authorization \"Bearer token\"\n}")
	shared := cost("authenticated_api http://" + api + " {\n" + account + "\n}")
	own := cost("authenticated_api http://" + api + " {\n" + strings.Replace(account, "client_id", "connection {http.auth.user.id}\nclient_id", 1) + "\n}")
	t.Logf("behind basic_auth: header_up %.1f mallocs, %.0f B; shared %+.1f, %+.0f B; own %+.1f, %+.0f B", headerUp.mallocs, headerUp.bytes,
		shared.mallocs-headerUp.mallocs, shared.bytes-headerUp.bytes, own.mallocs-headerUp.mallocs, own.bytes-headerUp.bytes)
	if mallocs, size := own.mallocs-shared.mallocs, own.bytes-shared.bytes; mallocs > 8 || size > 500 {
		t.Errorf("an own account costs %+.1f mallocs and %+.0f B, more than 8 and 500", mallocs, size)
	}
}

// storing is global options that keep tokens in a folder of the test's.
func storing(t *testing.T) string {
	return "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\ndefault_bind 127.0.0.1\nstorage file_system " + rig.StorageDir(t) + "\n}\n"
}
