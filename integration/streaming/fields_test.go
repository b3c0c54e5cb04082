// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestEarlyHints(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		if !strings.Contains(request, "Authorization: Bearer k1\r\n") {
			return rig.Response("401 Unauthorized", "", "")
		}
		return "HTTP/1.1 103 Early Hints\r\nLink: </v2/style.css>; rel=preload\r\nAccess-Control-Allow-Origin: *\r\n" +
			"Set-Cookie: a=b\r\nAlt-Svc: clear\r\nX-Hint: 1\r\n\r\n" +
			"HTTP/1.1 102 Processing\r\nX-Hint: 2\r\n\r\n" + rig.Response("200 OK", "X-Final: yes\r\nSet-Cookie: a=b\r\n", "ok")
	})
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			gateway := startFor(t, "http://"+api.Addr+"/v2", auth)
			replies := rig.Exchange(t, gateway, "GET /x HTTP/1.1\r\nHost: "+gateway+"\r\n\r\n", 3)
			if len(replies) != 3 || replies[0].StatusCode != 103 || replies[1].StatusCode != 102 || replies[2].StatusCode != 200 || replies[2].Text != "ok" {
				t.Fatalf("the client got %d replies", len(replies))
			}
			if got := replies[0].Header; got.Get("X-Hint") != "1" || got.Get("Link") != "</style.css>; rel=preload" {
				t.Errorf("103 has %v", got)
			}
			if got := replies[1].Header; got.Get("X-Hint") != "2" || got.Get("Link") != "" {
				t.Errorf("102 has %v", got)
			}
			if got := replies[2].Header; got.Get("X-Final") != "yes" || got.Get("X-Hint") != "" {
				t.Errorf("200 has %v", got)
			}
			for _, reply := range replies {
				for _, field := range []string{"Access-Control-Allow-Origin", "Set-Cookie", "Alt-Svc"} {
					if got := reply.Header[field]; got != nil {
						t.Errorf("%d has %s: %q", reply.StatusCode, field, got)
					}
				}
			}
		})
	}
}

func TestResponseTrailers(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				// A GET of HTTP/3 may have a body for all that its head says. An API that leaves
				// it unread has HTTP/2 reset the stream, and then Caddy's own wrapper of bodies is
				// closed while it is read, which is a data race.
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Trailer", "X-Sum, Set-Cookie, Access-Control-Allow-Origin")
				_, _ = io.WriteString(w, "body")
				_ = http.NewResponseController(w).Flush()
				w.Header().Set("X-Sum", "42")
				w.Header().Set("Set-Cookie", "a=b")
				w.Header().Set("Access-Control-Allow-Origin", "*")
				if r.URL.Path == "/more" {
					w.Header().Set(http.TrailerPrefix+"X-More", "43")
					w.Header().Set(http.TrailerPrefix+"Clear-Site-Data", "*")
					w.Header().Set(http.TrailerPrefix+"Www-Authenticate", "Basic")
				}
			}))
			url, config := startTLS(t, base, "auth bearer k1\n"+options)
			for _, major := range []int{1, 2, 3} {
				for _, path := range []string{"/x", "/more"} {
					res := do(t, clientFor(t, major, config), newRequest(t, "GET", url+path, nil))
					text := readAll(t, res.Body)
					want := "map[X-Sum:[42]]"
					if path == "/more" {
						want = "map[X-More:[43] X-Sum:[42]]"
					}
					if got := fmt.Sprint(res.Trailer); text != "body" || got != want {
						t.Errorf("%s %s: the client got %q with the trailers %s, want %s", protoOf(major), path, text, got, want)
					}
					if strings.Contains(fmt.Sprint(res.Header), "Cookie") {
						t.Errorf("%s %s: the header is %v", protoOf(major), path, res.Header)
					}
				}
			}
		})
	}
}

func TestRequestTrailers(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			got := make(chan string, 4)
			base, options := newAPIOf(t, version, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				got <- fmt.Sprintf("%s %v %q %v", body, err, r.Header["X-Api-Key"], r.Trailer)
			}))
			for name, value := range map[string]string{"fixed": "k1", "renewable": "{file." + rig.Save(t, "k1\n") + "}"} {
				t.Run(name, func(t *testing.T) {
					url, config := startTLS(t, base, "auth api_key X-Api-Key "+value+"\n"+options)
					for _, major := range []int{1, 2} {
						req := newRequest(t, "POST", url+"/x", io.NopCloser(strings.NewReader("body")))
						req.Trailer = http.Header{
							"X-Sum": {"42"}, "X-Api-Key": {"mine"}, "Authorization": {"mine"}, "X_api_key": {"mine"},
							"Cookie": {"a=b"}, "X-Forwarded-For": {"mine"},
						}
						if major == 2 {
							// An HTTP/2 server resets the stream if this trailer is there.
							delete(req.Trailer, "Authorization")
							req.ContentLength = int64(len("body")) // which HTTP/1.1 does not have with trailers
						}
						res := do(t, clientFor(t, major, config), req)
						if res.StatusCode != 200 {
							t.Errorf("the client got %d", res.StatusCode)
						}
						want := `body <nil> ["k1"] map[X-Sum:[42]]`
						if text := rig.Receive(t, got, "the request"); text != want {
							t.Errorf("from %s the API got %s, want %s", protoOf(major), text, want)
						}
					}
				})
			}
		})
	}
	t.Run("not announced", func(t *testing.T) {
		api := rig.NewAPI(t, nil)
		gateway := startFor(t, "http://"+api.Addr, "auth bearer k1")
		rig.Exchange(t, gateway, "POST /x HTTP/1.1\r\nHost: "+gateway+"\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"4\r\nbody\r\n0\r\nAuthorization: mine\r\nX-Sum: 42\r\n\r\n", 1)
		if request := api.Request(t); strings.Contains(request, "mine") || !strings.Contains(request, "Authorization: Bearer k1\r\n") {
			t.Errorf("the API got\n%s", request)
		}
	})
}

func TestExpectContinue(t *testing.T) {
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = io.WriteString(w, "got "+string(body))
			})
			gateway := startFor(t, "http://"+api, auth)
			conn, err := net.Dial("tcp", gateway)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: "+gateway+"\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 100 {
				t.Fatalf("the client got %v, %v before it sent its body, want 100", res, err)
			}
			if _, err := io.WriteString(conn, "body"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(r, nil)
			// This 100 is the API's own, which passes like any interim response.
			for err == nil && res.StatusCode == 100 {
				res, err = http.ReadResponse(r, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if text := readAll(t, res.Body); res.StatusCode != 200 || text != "got body" {
				t.Errorf("the client got %d %q", res.StatusCode, text)
			}
		})
	}
}
