// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const (
	atHead moment = iota
	atBody
	atEnd
)

// untaken says that the server has processed no request of the connection, RFC 9113 §6.8.
func untaken(framer *http2.Framer, _ uint32) error {
	if err := framer.WriteGoAway(0, http2.ErrCodeNo, nil); err != nil {
		return err
	}
	_, err := framer.ReadFrame() // the client closes
	for err == nil {
		_, err = framer.ReadFrame()
	}
	return err
}

// refused says that the server has not processed the request, RFC 9113 §8.7.
func refused(framer *http2.Framer, stream uint32) error {
	if err := framer.WriteRSTStream(stream, http2.ErrCodeRefusedStream); err != nil {
		return err
	}
	return untaken(framer, stream)
}

// perhapsTaken leaves open whether the server has processed the request.
func perhapsTaken(framer *http2.Framer, stream uint32) error {
	return framer.WriteGoAway(stream, http2.ErrCodeNo, nil)
}

// TestGoAway: a request with a body that is kept is sent again where the API says that it has not
// taken it, and never where it may have.
func TestGoAway(t *testing.T) {
	const file, literal = "auth bearer {file.SECRET}", "auth bearer k"
	for _, test := range []struct {
		name    string
		when    moment
		turn    func(*http2.Framer, uint32) error
		options string
		size    int
		chunked bool
		trailer string
		status  int
	}{
		{"at the head", atHead, untaken, literal, 10 << 10, false, "", 200},
		{"in the body", atBody, untaken, literal, 60 << 10, false, "", 200},
		{"at the end", atEnd, untaken, literal, 10 << 10, false, "", 200},
		{"at the end, a credential from a file", atEnd, untaken, file, 10 << 10, false, "", 200},
		{"a body of unknown length", atEnd, untaken, literal, 10 << 10, true, "", 200},
		{"a body of unknown length, in it", atBody, untaken, literal, 60 << 10, true, "", 200},
		{"refused", atEnd, refused, literal, 10, false, "", 200},
		{"refused at the head", atHead, refused, file, 10, false, "", 200},
		{"no body", atEnd, untaken, literal, 0, false, "", 200},
		{"trailers", atEnd, untaken, literal, 10 << 10, true, "X-Sum: 1\r\n", 200},
		{"a larger window", atEnd, untaken, literal + "\nreplay 1MiB", 500 << 10, false, "", 200},
		{"over the window", atEnd, untaken, literal, 65 << 10, false, "", 502},
		{"over the window, of unknown length", atEnd, untaken, file, 65 << 10, true, "", 502},
		{"no window", atEnd, untaken, literal + "\nreplay off", 10, false, "", 502},
		{"perhaps taken", atEnd, perhapsTaken, literal, 10, false, "", 502},
		{"perhaps taken in part", atBody, perhapsTaken, literal, 10 << 10, false, "", 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newGoneAPI(t, test.when, 1, test.turn)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.addr+" {\n"+
				strings.ReplaceAll(test.options, "SECRET", rig.Save(t, "k"))+"\ntransport http {\nversions h2c 2\n}\n}\n}")
			body := strings.Repeat("0123456789abcdef", test.size/16+1)[:test.size]
			head := "POST /x HTTP/1.1\r\nHost: " + gateway + "\r\n"
			request := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, test.size, body)
			if test.chunked {
				if test.trailer != "" {
					head += "Trailer: X-Sum\r\n"
				}
				request = head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n" + test.trailer + "\r\n"
			}
			if res := rig.Exchange(t, gateway, request, 1)[0]; res.StatusCode != test.status {
				t.Errorf("the client got %d %s, want %d", res.StatusCode, res.Text, test.status)
			}
			api.mu.Lock()
			defer api.mu.Unlock()
			if test.status != 200 {
				if api.began != 1 {
					t.Errorf("the API got the request %d times", api.began)
				}
				return
			}
			if api.began != 2 || len(api.served) != 1 {
				t.Fatalf("the API got %d requests and served %d, want 2 and 1", api.began, len(api.served))
			}
			got := api.served[0]
			if string(got.body) != body || got.fields["authorization"] != "Bearer k" {
				t.Errorf("the API got a body of %d bytes, want %d, and %v", len(got.body), len(body), got.fields)
			}
			if test.trailer != "" && got.trailer["x-sum"] != "1" {
				t.Errorf("the API got the trailers %v", got.trailer)
			}
		})
	}
}

// TestGoAwayThenRefusal: a request that was sent on another connection is sent again once more
// with a fresh credential.
func TestGoAwayThenRefusal(t *testing.T) {
	api := newGoneAPI(t, atEnd, 1, untaken)
	secret := rig.Save(t, "old")
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.addr+" {\nauth bearer {file."+secret+"}\ntransport http {\nversions h2c 2\n}\n}\n}")
	rotate(t, secret, "new")
	wantOK(t, rig.Do(t, gateway, "POST", "/x", "", "the body"))
	api.mu.Lock()
	defer api.mu.Unlock()
	if len(api.served) != 2 || string(api.served[0].body) != "the body" || string(api.served[1].body) != "the body" {
		t.Errorf("the API served %q", api.served)
	}
}

// TestGoAwayUnderLoad: an API that ends its connections all the time, as many do after some number
// of requests, costs no request.
func TestGoAwayUnderLoad(t *testing.T) {
	var n atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n.Add(1)%5 == 0 {
			w.Header().Set("Connection", "close") // net/http's server says GOAWAY
		}
		_, _ = w.Write(body)
	})
	for _, version := range []string{"2", "h2c"} {
		t.Run(version, func(t *testing.T) {
			base, certificate := rig.Serve(t, version, handler)
			options := "transport http {\nversions h2c 2\n}"
			if certificate != nil {
				options = "self_signed_cert " + certificate.File
			}
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api "+base+" {\nauth bearer k\n"+options+"\n}\n}")
			var failed atomic.Int32
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for i := range 40 {
						body := strings.Repeat("x", i*500)
						if res := rig.Do(t, gateway, "POST", "/", "", body); res.StatusCode != 200 || res.Text != body {
							failed.Add(1)
						}
					}
				})
			}
			all.Wait()
			if failed.Load() > 0 {
				t.Errorf("%d of 640 requests failed", failed.Load())
			}
		})
	}
}

// TestResendOverHTTP1: net/http sends a request again that a server has read only if the client
// has said that it is idempotent.
func TestResendOverHTTP1(t *testing.T) {
	for _, test := range []struct {
		method, header string
		status, times  int
	}{
		{"POST", "", 502, 1},
		{"PATCH", "", 502, 1},
		{"PUT", "", 502, 1},
		{"POST", "Idempotency-Key: 1\r\n", 200, 2},
		{"GET", "", 200, 2},
	} {
		t.Run(test.method+" "+test.header, func(t *testing.T) {
			var times atomic.Int32
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
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
							request, err := rig.ReadRequest(r)
							if err != nil {
								return
							}
							if strings.Contains(request, " /second ") && times.Add(1) == 1 {
								return // it may have done what it was asked for
							}
							_, _ = io.WriteString(conn, rig.OK("ok"))
						}
					}()
				}
			}()
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+ln.Addr().String()+" {\nauth bearer k\n}\n}")
			wantOK(t, rig.Get(t, gateway, "/first", ""))
			if res := rig.Do(t, gateway, test.method, "/second", test.header, "body"); res.StatusCode != test.status || int(times.Load()) != test.times {
				t.Errorf("the client got %d, and the API the request %d times; want %d and %d", res.StatusCode, times.Load(), test.status, test.times)
			}
		})
	}
}
