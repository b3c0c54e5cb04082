// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestIsolation sends many requests at once to several APIs, each with a credential of its own,
// and lets them end in every way: answered, refused before the body was read, cut off by either
// side, upgraded. What the transport keeps for the next request must not bring one API's
// credential, or one client's bytes, to another.
func TestIsolation(t *testing.T) {
	const routes = 4
	apis := make([]*rig.API, routes)
	var site strings.Builder
	for i := range apis {
		apis[i] = rig.NewAPI(t, nil)
		apis[i].Answer = func(request string) string {
			uri := strings.Fields(request)[1]
			switch {
			case strings.Contains(uri, "/close"):
				return ""
			case strings.Contains(uri, "/slow"):
				time.Sleep(3 * time.Millisecond)
			case strings.Contains(uri, "/hint"):
				return "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + rig.OK(uri)
			case strings.Contains(uri, "/chunked"):
				return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
			case strings.Contains(uri, "/cut"):
				return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort" + rig.HangUp
			case strings.Contains(uri, "/bad"):
				return "no HTTP\r\n\r\n"
			case strings.Contains(uri, "/401"):
				return rig.Response("401 Unauthorized", "", "no")
			}
			return rig.OK(uri)
		}
		credential := []string{"auth bearer secret%d", "auth api_key X-Api-Key secret%d", "auth api_key key secret%d {\nin query\n}", "auth basic u secret%d"}[i%4]
		fmt.Fprintf(&site, "handle_path /r%d/* {\nauthenticated_api http://%s/v%[1]d {\nname r%[1]d\n"+credential+"\nheader X-Route r%[1]d\nheader X-Who {http.request.header.X-Id}\n}\n}\n", i, apis[i].Addr, i)
	}
	g := start(t, "", site.String())

	duration := 4 * time.Second
	if testing.Short() {
		duration = 500 * time.Millisecond
	}
	deadline := time.Now().Add(duration)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			var c client
			for n := 0; time.Now().Before(deadline); n++ {
				if c == nil {
					c = []client{&h1Client{addr: g.plain}, &h2Client{addr: g.tls}, &h3Client{addr: g.tls}, &h1Client{addr: g.plain}}[worker%4]
				}
				route, id := rand.IntN(routes), fmt.Sprintf("id-%d-%d", worker, n)
				kind := []string{"ok", "ok", "ok", "slow", "hint", "chunked", "close", "cut", "bad", "401", "../x"}[rand.IntN(11)]
				req := request{target: fmt.Sprintf("/r%d/%s/%s", route, kind, id), fields: [][2]string{{"x-id", id}}}
				if rand.IntN(3) == 0 {
					req.method, req.body = http.MethodPost, strings.Repeat(id+" ", 1+rand.IntN(50))
				}
				if rand.IntN(4) == 0 {
					leave(g.plain, req) // before the answer has come
					continue
				}
				r := c.do(req)
				if kind == "ok" && !strings.Contains(r.body, id) {
					t.Errorf("%s %s got %d %v %q", c.name(), id, r.status, r.err, r.body)
				}
			}
			if closer, ok := c.(io.Closer); ok {
				closer.Close()
			}
		})
	}
	wg.Wait()
	total := 0
	for i, api := range apis {
		for _, s := range requests(t, api) {
			total++
			id := s.alike("X-Id")
			if len(id) != 1 || !strings.HasPrefix(s.path(), fmt.Sprintf("/v%d/", i)) || !strings.HasSuffix(s.path(), id[0]) {
				t.Fatalf("the API of r%d got\n%s", i, s.raw)
			}
			s.wantOne(t, "X-Who", id[0])
			s.wantOne(t, "X-Route", fmt.Sprintf("r%d", i))
			s.wantOne(t, "Host", api.Addr)
			if secrets := len(s.alike("Authorization")) + len(s.alike("X-Api-Key")) + strings.Count(s.target, "key="); secrets != 1 {
				t.Errorf("the API of r%d got %d credentials:\n%s", i, secrets, s.raw)
			}
			for other := range routes {
				if other != i && strings.Contains(s.raw, fmt.Sprintf("secret%d", other)) {
					t.Errorf("the API of r%d got the credential of r%d:\n%s", i, other, s.raw)
				}
			}
			if s.method == http.MethodPost && strings.Count(s.body, "id-") != strings.Count(s.body, id[0]+" ") {
				t.Errorf("the body is of another request:\n%s", s.raw)
			}
		}
	}
	if total < 100 {
		t.Errorf("only %d requests arrived", total)
	}
	t.Logf("%d requests arrived", total)
}

// leave sends a request and hangs up.
func leave(addr string, req request) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	length := len(req.body)
	if rand.IntN(2) == 0 && length > 0 {
		req.body = req.body[:length/2]
	}
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", orDefault(req.method, "GET"), req.target, req.fields[0][1], length, req.body)
	if rand.IntN(2) == 0 {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}
