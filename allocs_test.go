// SPDX-License-Identifier: Apache-2.0

//go:build !race

// The race detector allocates on its own account, so these tests are built without it: make test
// runs them apart.

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"math"
	"net"
	"runtime"
	"testing"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// cost is what the process allocates for one proxied request.
type cost struct{ mallocs, bytes float64 }

// measure counts the allocations of a Caddy for each of many requests on one connection. Client
// and API are in the same process, and allocate nothing.
func measure(t *testing.T, caddyfile, header string) cost {
	t.Helper()
	gateway := rig.Start(t, caddyfile)
	conn, err := net.Dial("tcp", gateway) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET /v1/items HTTP/1.1\r\nHost: " + gateway + "\r\n" + header + "\r\n")
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

// quietAPI answers every request with 200 and "ok", and allocates nothing for it.
func quietAPI(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						if _, err := conn.Write(response); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestAllocsPerRequest holds the cost of a credentialed request against that of Caddy's plain
// reverse_proxy: at most 5 mallocs and 200 bytes more, which is below the 12 and 562 of its
// header_up.
func TestAllocsPerRequest(t *testing.T) {
	api := quietAPI(t)
	for name, header := range map[string]string{
		"curl":   "User-Agent: curl/8.0\r\nAccept: */*\r\n",
		"client": "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
	} {
		plain := measure(t, "http://GATEWAY {\nreverse_proxy http://"+api+"\n}", header)
		headerUp := measure(t, "http://GATEWAY {\nreverse_proxy http://"+api+" {\nheader_up Authorization \"Bearer token\"\n}\n}", header)
		t.Logf("%s: plain reverse_proxy %.1f mallocs, %.0f B; header_up %+.1f, %+.0f B", name, plain.mallocs, plain.bytes,
			headerUp.mallocs-plain.mallocs, headerUp.bytes-plain.bytes)
		for _, block := range []string{
			"auth bearer token", "auth basic user pass", "auth api_key X-Api-Key key", "auth api_key key value {\nin query\n}",
			"auth bearer token\nsignature 0123456789abcdef0123456789abcdef", "auth api_key sid key {\nin cookie\n}",
			"auth bearer token\nauth api_key X-Api-Key key\nauth api_key key value {\nin query\n}",
		} {
			ours := measure(t, "http://GATEWAY {\nauthenticated_api http://"+api+" {\n"+block+"\n}\n}", header)
			mallocs, size := ours.mallocs-plain.mallocs, ours.bytes-plain.bytes
			t.Logf("%s: %-60q %+.1f mallocs, %+.0f B", name, block, mallocs, size)
			if mallocs > 5 || size > 200 {
				t.Errorf("%s: %q costs %+.1f mallocs and %+.0f B, more than 5 and 200", name, block, mallocs, size)
			}
		}
	}
}

// TestAllocsSignature holds a signature that is made for each request against one that is used
// again: at most 2 mallocs and 400 bytes more.
func TestAllocsSignature(t *testing.T) {
	api := quietAPI(t)
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
