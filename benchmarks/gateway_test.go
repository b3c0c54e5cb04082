// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures this module beside its peers, in the same run: absolute times say
// little on a shared machine, ratios do.
package benchmarks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// connection is a client that sends one request after the other.
type connection struct {
	conn    net.Conn
	r       *bufio.Reader
	request string
}

func dial(b *testing.B, addr string) *connection {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &connection{conn, bufio.NewReader(conn), "GET /v1/items HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"}
}

// round returns how long n requests take.
func (c *connection) round(b *testing.B, n int) time.Duration {
	start := time.Now()
	for range n {
		if _, err := io.WriteString(c.conn, c.request); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("%d %v", res.StatusCode, err)
		}
		res.Body.Close()
	}
	return time.Since(start)
}

// BenchmarkGateway sends requests through this module and through Caddy's reverse_proxy with
// header_up, in turns, and reports the ratio of their times.
func BenchmarkGateway(b *testing.B) {
	for name, block := range map[string]string{
		"bearer":        "auth bearer token",
		"query":         "auth api_key key value {\nin query\n}",
		"signature":     "auth bearer token\nsignature 0123456789abcdef0123456789abcdef",
		"signed_claims": "auth bearer token\nsignature 0123456789abcdef0123456789abcdef {\nclaim path {http.request.uri.path}\n}",
		"eight_headers": "auth bearer token\n" + headers(8),
	} {
		b.Run(name, func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a benchmark
			if err != nil {
				b.Fatal(err)
			}
			api := &rig.API{Answer: func(string) string { return rig.OK("ok") }}
			go api.Serve(ln)
			b.Cleanup(func() { ln.Close() })
			peer := rig.Free(b)
			ours := rig.Start(b, "http://GATEWAY {\nauthenticated_api http://"+ln.Addr().String()+" {\n"+block+"\n}\n}\n"+
				"http://"+peer+" {\nreverse_proxy http://"+ln.Addr().String()+" {\nheader_up Authorization \"Bearer token\"\n}\n}")
			a, p := dial(b, ours), dial(b, peer)
			a.round(b, 100)
			p.round(b, 100)
			api.Requests()
			var timeA, timeP time.Duration
			b.ResetTimer()
			for done := 0; done < b.N; {
				n := min(50, b.N-done)
				timeA += a.round(b, n)
				timeP += p.round(b, n)
				api.Requests()
				done += n
			}
			b.ReportMetric(float64(timeA)/float64(timeP), "x_header_up")
			b.ReportMetric(float64(timeA.Nanoseconds())/float64(b.N), "ns/op")
		})
	}
}

func headers(n int) (block string) {
	for i := range n {
		block += fmt.Sprintf("header X-Field-%s value\n", strconv.Itoa(i))
	}
	return block
}
