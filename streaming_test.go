// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// both are a method whose credential never changes, and one for which bodies are kept while they stream.
func both(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"fixed": "auth bearer k1", "renewable": "auth bearer {file." + rig.Save(t, "k1\n") + "}"}
}

// newHTTPAPI runs an API of HTTP/1.1 without TLS until the test ends, that serves nobody without the credential.
func newHTTPAPI(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	server := httptest.NewServer(guarded(handler))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func guarded(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Authorization"]; !slices.Equal(got, []string{"Bearer k1"}) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler(w, r)
	}
}

func startFor(t *testing.T, base, options string) (gateway string) {
	t.Helper()
	return rig.Start(t, "http://GATEWAY {\nauthenticated_api "+base+" {\n"+options+"\n}\n}")
}

// startTLS runs a gateway that speaks HTTP/1.1, 2 and 3, and returns its URL and what clients have to trust.
func startTLS(t *testing.T, base, options string) (url string, client *tls.Config) {
	t.Helper()
	id := rig.NewIdentity(t, nil, nil)
	addr := rig.Start(t, "https://GATEWAY {\ntls "+rig.Save(t, id.PEM)+" "+rig.Save(t, id.KeyPEM(t))+
		"\nauthenticated_api "+base+" {\n"+options+"\n}\n}")
	return "https://" + addr, &tls.Config{RootCAs: rig.Pool(id)}
}

// clientFor returns a client that speaks one version of HTTP only.
func clientFor(t *testing.T, major int, config *tls.Config) *http.Client {
	t.Helper()
	if major == 3 {
		transport := &http3.Transport{TLSClientConfig: config, DisableCompression: true}
		t.Cleanup(func() { _ = transport.Close() })
		return &http.Client{Transport: transport}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(major == 1)
	transport.Protocols.SetHTTP2(major == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func do(t *testing.T, client *http.Client, req *http.Request) *http.Response {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readLine reads a line; the request's own deadline ends a wait for nothing.
func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("reading a line: %v, after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

func TestStreamEvents(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "application/x-ndjson"} {
		for name, auth := range both(t) {
			t.Run(contentType+", "+name, func(t *testing.T) {
				next := make(chan struct{})
				api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", contentType)
					for i := range 3 {
						_, _ = fmt.Fprintf(w, "data: %d\n", i)
						_ = http.NewResponseController(w).Flush()
						select {
						case <-next:
						case <-r.Context().Done():
							return
						}
					}
				})
				url, config := startTLS(t, "http://"+api, auth)
				for _, major := range []int{1, 2, 3} {
					res := do(t, clientFor(t, major, config), newRequest(t, "GET", url+"/x", nil))
					r := bufio.NewReader(res.Body)
					for i := range 3 {
						if got, want := readLine(t, r), fmt.Sprintf("data: %d", i); got != want {
							t.Errorf("%s: the event is %q, want %q", protoOf(major), got, want)
						}
						next <- struct{}{}
					}
				}
			})
		}
	}
}

func TestStreamUpload(t *testing.T) {
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			pieces := make(chan string)
			api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
				body := bufio.NewReader(r.Body)
				for {
					line, err := body.ReadString('\n')
					if err != nil {
						break
					}
					pieces <- line
				}
				_, _ = io.WriteString(w, "ok")
			})
			url, config := startTLS(t, "http://"+api, auth)
			for _, major := range []int{1, 2, 3} {
				body, feed := io.Pipe()
				answer := make(chan *http.Response, 1)
				req := newRequest(t, "POST", url+"/x", body)
				client := clientFor(t, major, config)
				go func() {
					defer close(answer)
					res, err := client.Do(req)
					if err != nil {
						t.Errorf("%s: %v", protoOf(major), err)
						return
					}
					answer <- res
				}()
				for i := range 3 {
					if _, err := fmt.Fprintf(feed, "piece %d\n", i); err != nil {
						t.Fatal(err)
					}
					if got, want := receive(t, pieces, "a piece at the API"), fmt.Sprintf("piece %d\n", i); got != want {
						t.Errorf("%s: the API got %q, want %q", protoOf(major), got, want)
					}
				}
				_ = feed.Close()
				res := receive(t, answer, "the response")
				if res == nil {
					return
				}
				if text := readAll(t, res.Body); text != "ok" {
					t.Errorf("%s: the client got %d %q", protoOf(major), res.StatusCode, text)
				}
				_ = res.Body.Close()
			}
		})
	}
}

// A conversation: each line of the client is answered before it sends the next one.
func TestStreamBothWays(t *testing.T) {
	echo := guarded(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			if err := control.EnableFullDuplex(); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		body := bufio.NewReader(r.Body)
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = control.Flush()
		}
	})
	for name, auth := range both(t) {
		eachVersion(t, func(t *testing.T, apiMajor int) {
			id := rig.NewIdentity(t, nil, nil)
			api := newTLSAPI(t, "127.0.0.1:0", apiMajor, &tls.Config{Certificates: []tls.Certificate{id.TLS()}}, echo)
			url, config := startTLS(t, "https://"+api.addr, auth+"\nself_signed_cert "+rig.Save(t, id.PEM))
			for _, major := range []int{2, 3} {
				body, feed := io.Pipe()
				// Both sides' heads must pass before there is any body.
				res := do(t, clientFor(t, major, config), newRequest(t, "POST", url+"/x", body))
				r := bufio.NewReader(res.Body)
				for i := range 4 {
					if _, err := fmt.Fprintf(feed, "line %d\n", i); err != nil {
						t.Fatal(err)
					}
					if got, want := readLine(t, r), fmt.Sprintf("echo line %d", i); got != want {
						t.Errorf("%s, %s: got %q, want %q", name, protoOf(major), got, want)
					}
				}
				_ = feed.Close()
				if rest := readAll(t, r); rest != "" {
					t.Errorf("%s, %s: the rest is %q", name, protoOf(major), rest)
				}
			}
		})
	}
}

// upgraded is an API that speaks a protocol of its own after the handshake: it sends back what it gets.
func upgraded(t *testing.T, accepted func(authorization string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Authorization"]; len(got) != 1 || !accepted(got[0]) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, refusal)
			return
		}
		if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
			t.Errorf("the API got the handshake %s %v", r.Method, r.Header)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\n\r\nhello\n")
		_ = rw.Flush()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = rw.WriteString("echo " + line)
			_ = rw.Flush()
		}
	}
}

func talk(t *testing.T, conn net.Conn, gateway, header string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: "+gateway+"\r\nConnection: Upgrade, Authorization\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" || res.Header.Get("Sec-WebSocket-Accept") != "x" {
		t.Fatalf("the handshake was answered with %d %v", res.StatusCode, res.Header)
	}
	if got := res.Header["Set-Cookie"]; got != nil {
		t.Errorf("the client got the API's cookie %q", got)
	}
	if got := readLine(t, r); got != "hello" {
		t.Errorf("the API says %q", got)
	}
	for _, line := range []string{"one", "two", strings.Repeat("long", 20000)} {
		if _, err := io.WriteString(conn, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := readLine(t, r); got != "echo "+line {
			t.Errorf("got %.50q, want the echo of %.50q", got, line)
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if rest := readAll(t, r); rest != "" {
		t.Errorf("the rest is %q", rest)
	}
}

func TestStreamWebSocket(t *testing.T) {
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(upgraded(t, func(got string) bool { return got == "Bearer k1" }))
			t.Cleanup(server.Close)
			gateway := startFor(t, server.URL, auth)
			conn, err := net.Dial("tcp", gateway)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			talk(t, conn, gateway, "Authorization: mine\r\n")
		})
	}
	t.Run("wss at the API", func(t *testing.T) {
		id := rig.NewIdentity(t, nil, nil)
		server := httptest.NewUnstartedServer(upgraded(t, func(got string) bool { return got == "Bearer k1" }))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{id.TLS()}}
		server.EnableHTTP2 = true // such a server must be asked for HTTP/1.1 then
		server.StartTLS()
		t.Cleanup(server.Close)
		gateway := startFor(t, server.URL, "auth bearer k1\nself_signed_cert "+rig.Save(t, id.PEM))
		conn, err := net.Dial("tcp", gateway)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		talk(t, conn, gateway, "")
	})
	t.Run("refused, then sent again", func(t *testing.T) {
		var handshakes atomic.Int32
		server := httptest.NewServer(upgraded(t, func(got string) bool {
			handshakes.Add(1)
			return got == "Bearer new"
		}))
		t.Cleanup(server.Close)
		secret := rig.Save(t, "old\n")
		gateway := startFor(t, server.URL, "auth bearer {file."+secret+"}")
		rotate(t, secret, "new")
		conn, err := net.Dial("tcp", gateway)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		talk(t, conn, gateway, "")
		if n := handshakes.Load(); n != 2 {
			t.Errorf("the API got %d handshakes, want 2", n)
		}
	})
	t.Run("refused", func(t *testing.T) {
		server := httptest.NewServer(upgraded(t, func(string) bool { return false }))
		t.Cleanup(server.Close)
		gateway := startFor(t, server.URL, "auth bearer k1")
		res := rig.Get(t, gateway, "/x", "Connection: Upgrade\r\nUpgrade: websocket\r\n")
		if res.StatusCode != 401 || res.Text != refusal {
			t.Errorf("the client got %d %q", res.StatusCode, res.Text)
		}
	})
}

// Go serves WebSockets over HTTP/2 (RFC 8441) only to a process whose environment says so from the start.
func TestStreamWebSocketOverHTTP2(t *testing.T) {
	if !inChild(t, "GODEBUG=http2xconnect=1") {
		return
	}
	server := httptest.NewServer(upgraded(t, func(got string) bool { return got == "Bearer k1" }))
	t.Cleanup(server.Close)
	url, config := startTLS(t, server.URL, "auth bearer {file."+rig.Save(t, "k1\n")+"}")
	// net/http's own client refuses the field :protocol.
	transport := &http2.Transport{TLSClientConfig: config} //nolint:staticcheck // deprecated, but there is no other
	t.Cleanup(transport.CloseIdleConnections)              //nolint:staticcheck // see above
	client := &http.Client{Transport: transport}
	body, feed := io.Pipe()
	req := newRequest(t, "CONNECT", url+"/socket", body)
	req.Header.Set(":protocol", "websocket")
	req.Header.Set("Authorization", "mine")
	res := do(t, client, req)
	converse(t, res, feed)

	req = newRequest(t, "CONNECT", url+"/socket", nil)
	req.Header.Set(":protocol", "connect-udp")
	if res := do(t, client, req); res.StatusCode != 405 {
		t.Errorf("another protocol: the client got %d", res.StatusCode)
	}
}

func TestStreamWebSocketOverHTTP3(t *testing.T) {
	server := httptest.NewServer(upgraded(t, func(got string) bool { return got == "Bearer k1" }))
	t.Cleanup(server.Close)
	url, config := startTLS(t, server.URL, "auth bearer k1")
	body, feed := io.Pipe()
	req := newRequest(t, "CONNECT", url+"/socket", body)
	req.Proto = "websocket"
	res := do(t, clientFor(t, 3, config), req)
	converse(t, res, feed)
}

func converse(t *testing.T, res *http.Response, feed *io.PipeWriter) {
	t.Helper()
	if res.StatusCode != 200 {
		t.Fatalf("the handshake was answered with %d %v", res.StatusCode, res.Header)
	}
	if got := res.Header["Set-Cookie"]; got != nil {
		t.Errorf("the client got the API's cookie %q", got)
	}
	r := bufio.NewReader(res.Body)
	if got := readLine(t, r); got != "hello" {
		t.Errorf("the API says %q", got)
	}
	for _, line := range []string{"one", "two", strings.Repeat("long", 5000)} {
		if _, err := io.WriteString(feed, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := readLine(t, r); got != "echo "+line {
			t.Errorf("got %.50q, want the echo of %.50q", got, line)
		}
	}
	_ = feed.Close()
	// To the end: Caddy says good-bye to the WebSockets that it finds open when it stops, beside what it still copies.
	if rest := readAll(t, r); rest != "" {
		t.Errorf("the rest is %q", rest)
	}
}

func TestStreamClients(t *testing.T) {
	api := rig.NewAPI(t, nil)
	url, config := startTLS(t, "http://"+api.Addr+"/v2", "auth bearer {file."+rig.Save(t, "k1\n")+"}")
	for _, major := range []int{1, 2, 3} {
		t.Run(protoOf(major), func(t *testing.T) {
			client := clientFor(t, major, config)
			for _, body := range []string{"", "body"} {
				method := "GET"
				want := []string{"/v2/a%2Fb?c=d HTTP/1.1", "Host: " + api.Addr, "Authorization: Bearer k1", "User-Agent: test"}
				req := newRequest(t, method, url+"/a%2Fb?c=d", nil)
				if body != "" {
					method = "POST"
					req = newRequest(t, method, url+"/a%2Fb?c=d", strings.NewReader(body))
					want = append(want, "Content-Length: 4")
				}
				req.Header.Set("User-Agent", "test")
				req.Header.Set("Authorization", "Bearer mine")
				req.Header["authorization"] = []string{"Bearer mine too"}
				res := do(t, client, req)
				if text := readAll(t, res.Body); res.ProtoMajor != major || res.StatusCode != 200 || text != "ok" {
					t.Errorf("the client got %s %d %q", res.Proto, res.StatusCode, text)
				}
				want[0] = method + " " + want[0]
				request := one(t, api)
				wantHead(t, request, want...)
				if _, sent, _ := strings.Cut(request, "\r\n\r\n"); sent != body {
					t.Errorf("the API got the body %q", sent)
				}
			}
		})
	}
}

// newAPIOf runs an API of one version of HTTP, 2 being h2c where there is no TLS, and returns the directive's options.
func newAPIOf(t *testing.T, version string, handler http.Handler) (base, options string) {
	t.Helper()
	id := rig.NewIdentity(t, nil, nil)
	config := &tls.Config{Certificates: []tls.Certificate{id.TLS()}}
	trust := "self_signed_cert " + rig.Save(t, id.PEM)
	switch version {
	case "1.1":
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.URL, ""
	case "2":
		return "https://" + newTLSAPI(t, "127.0.0.1:0", 2, config, handler).addr, trust
	case "h2c":
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, Protocols: new(http.Protocols), ReadHeaderTimeout: patience}
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { _ = server.Close() })
		return "http://" + ln.Addr().String(), "transport http {\nversions h2c 2\n}"
	case "3":
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(config)}
		go func() { _ = server.Serve(conn) }()
		t.Cleanup(func() { _ = server.Close(); _ = conn.Close() })
		return "https://" + conn.LocalAddr().String(), trust + "\ntransport http {\nversions 3\n}"
	}
	t.Fatalf("no API of version %s", version)
	return "", ""
}

var apiVersions = []string{"1.1", "2", "h2c", "3"}

func TestStreamAPIs(t *testing.T) {
	for _, version := range apiVersions {
		t.Run(version, func(t *testing.T) {
			var accepted atomic.Value
			accepted.Store("Bearer old")
			requests := make(chan string, 16)
			base, options := newAPIOf(t, version, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				requests <- fmt.Sprintf("%s %s %s %s %q %s", r.Proto, r.Method, r.Host, r.RequestURI, r.Header["Authorization"], body)
				if r.Header.Get("Authorization") != accepted.Load() {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, "ok")
			}))
			proto := map[string]string{"1.1": "HTTP/1.1", "2": "HTTP/2.0", "h2c": "HTTP/2.0", "3": "HTTP/3.0"}[version]
			host := base[strings.LastIndex(base, "/")+1:]
			secret := rig.Save(t, "old\n")
			gateway := startFor(t, base+"/v2", "auth bearer {file."+secret+"}\n"+options)
			for _, body := range []string{"", "body"} {
				method := "GET"
				if body != "" {
					method = "POST"
				}
				wantOK(t, rig.Do(t, gateway, method, "/a%2Fb?c=d", "Authorization: mine\r\n", body))
				want := fmt.Sprintf(`%s %s %s /v2/a%%2Fb?c=d ["Bearer old"] %s`, proto, method, host, body)
				if got := receive(t, requests, "the request"); got != want {
					t.Errorf("the API got %s, want %s", got, want)
				}
			}
			rotate(t, secret, "new")
			accepted.Store("Bearer new")
			wantOK(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
			for _, token := range []string{"old", "new"} {
				want := fmt.Sprintf(`%s POST %s /v2/x ["Bearer %s"] body`, proto, host, token)
				if got := receive(t, requests, "the request"); got != want {
					t.Errorf("the API got %s, want %s", got, want)
				}
			}
		})
	}
}

// noise is an endless stream that nothing compresses, the same each time.
func noise() io.Reader { return rand.NewChaCha8([32]byte{1}) }

func hashed(r io.Reader, at func(n int64)) (string, int64, error) {
	return hashInto(sha256.New(), r, at)
}

func hashInto(h hash.Hash, r io.Reader, at func(n int64)) (string, int64, error) {
	var total, next int64
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if total += int64(n); total >= next {
			at(total)
			next += 4 << 20
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), total, nil
		}
		if err != nil {
			return "", total, err
		}
	}
}

// liveHeap is what the whole process holds: gateway, API and client.
func liveHeap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestStreamLargeBodies(t *testing.T) {
	const size, margin = 40 << 20, 4 << 20
	want, _, err := hashed(io.LimitReader(noise(), size), func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			var before int64
			grown := func(n int64) {
				live := liveHeap()
				if before == 0 {
					before = live // with all that a connection needs
				}
				if live > before+margin {
					t.Errorf("after %d MiB the heap has grown by %d KiB", n>>20, (live-before)>>10)
				}
			}
			api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					if r.URL.Query().Has("length") {
						w.Header().Set("Content-Length", strconv.Itoa(size))
					}
					_, _ = io.CopyN(w, noise(), size)
					return
				}
				sum, n, err := hashed(r.Body, grown)
				if err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprintf(w, "%s %d", sum, n)
			})
			gateway := startFor(t, "http://"+api, auth)
			client := newClient(t)
			_ = readAll(t, do(t, client, newRequest(t, "POST", "http://"+gateway+"/warm", strings.NewReader("warm"))).Body)
			for _, length := range []int64{size, -1} {
				before = 0
				req := newRequest(t, "POST", "http://"+gateway+"/up", io.LimitReader(noise(), size))
				req.ContentLength = length
				if got := readAll(t, do(t, client, req).Body); got != want+" "+strconv.Itoa(size) {
					t.Errorf("upload: the API got %s, want %s", got, want)
				}
			}
			for _, query := range []string{"?length", ""} {
				before = 0
				res := do(t, client, newRequest(t, "GET", "http://"+gateway+"/down"+query, nil))
				sum, n, err := hashed(res.Body, grown)
				if err != nil || sum != want || n != size {
					t.Errorf("download: the client got %d bytes, %s, %v, want %s", n, sum, err, want)
				}
			}
		})
	}
}

func TestStreamCompression(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, strings.Repeat("text ", 1000))
	_ = z.Close()
	for _, version := range apiVersions {
		t.Run(version, func(t *testing.T) {
			asked := make(chan []string, 4)
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header["Accept-Encoding"]
				w.Header().Set("Content-Type", "text/plain")
				if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					w.Header().Set("Content-Encoding", "gzip")
					_, _ = w.Write(packed.Bytes())
					return
				}
				_, _ = io.WriteString(w, "plain")
			}))
			gateway := startFor(t, base, "auth bearer k1\n"+options)
			res := rig.Get(t, gateway, "/x", "Accept-Encoding: gzip;q=0.5, br\r\n")
			if got := receive(t, asked, "the request"); !slices.Equal(got, []string{"gzip;q=0.5, br"}) {
				t.Errorf("the API was asked for %q", got)
			}
			if res.Header.Get("Content-Encoding") != "gzip" || res.Text != packed.String() {
				t.Errorf("the client got %q and %d bytes, want the API's own %d", res.Header.Get("Content-Encoding"), len(res.Text), packed.Len())
			}
			res = rig.Get(t, gateway, "/x", "")
			var want []string
			if version == "3" {
				want = []string{"identity"} // else Caddy's HTTP/3 client asks for gzip, and decodes it
			}
			if got := receive(t, asked, "the request"); !slices.Equal(got, want) {
				t.Errorf("the API was asked for %q, which nobody has asked for", got)
			}
			if res.Text != "plain" || res.Header.Get("Content-Encoding") != "" {
				t.Errorf("the client got %q", res.Text)
			}
		})
	}
}

func TestStreamRanges(t *testing.T) {
	content := filepath.Join(t.TempDir(), "content.txt")
	if err := os.WriteFile(content, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		http.ServeFile(w, r, content)
	})
	gateway := startFor(t, "http://"+api, "auth bearer k1")
	res := rig.Get(t, gateway, "/x", "Range: bytes=2-4\r\n")
	if res.StatusCode != 206 || res.Text != "234" || res.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Get(t, gateway, "/x", "Range: bytes=20-\r\n"); res.StatusCode != 416 || res.Header.Get("Content-Range") != "bytes */10" {
		t.Errorf("the client got %d with %v", res.StatusCode, res.Header)
	}
	if res = rig.Get(t, gateway, "/x", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n"); res.StatusCode != 200 || res.Text != "0123456789" {
		t.Errorf("the client got %d %q", res.StatusCode, res.Text)
	}
	if res = rig.Get(t, gateway, "/x", "If-None-Match: \"v1\"\r\n"); res.StatusCode != 304 || res.Text != "" || res.Header.Get("Etag") != `"v1"` {
		t.Errorf("the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Do(t, gateway, "HEAD", "/x", "", ""); res.StatusCode != 200 || res.Text != "" || res.Header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Do(t, gateway, "HEAD", "/x", "Range: bytes=2-4\r\n", ""); res.StatusCode != 206 || res.Header.Get("Content-Length") != "3" {
		t.Errorf("HEAD with a range: the client got %d with %v", res.StatusCode, res.Header)
	}
}

func TestStreamNoBody(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /304") {
			return "HTTP/1.1 304 Not Modified\r\nEtag: \"v1\"\r\nContent-Length: 5\r\n\r\n"
		}
		return "HTTP/1.1 204 No Content\r\nX-Done: yes\r\n\r\n"
	})
	gateway := startFor(t, "http://"+api.Addr, "auth bearer k1")
	// On one connection: a body that is invented would be taken for the next response.
	request := func(method, path string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n"
	}
	replies := rig.Exchange(t, gateway, request("GET", "/204")+request("GET", "/304")+request("DELETE", "/204"), 3)
	for i, want := range []int{204, 304, 204} {
		if i >= len(replies) || replies[i].StatusCode != want || replies[i].Text != "" {
			t.Fatalf("reply %d of %d is not %d without a body", i, len(replies), want)
		}
	}
	if replies[0].Header.Get("X-Done") != "yes" || replies[1].Header.Get("Etag") != `"v1"` {
		t.Errorf("the header fields are %v and %v", replies[0].Header, replies[1].Header)
	}
}

func TestStreamEarlyHints(t *testing.T) {
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

func TestStreamResponseTrailers(t *testing.T) {
	for _, version := range apiVersions {
		t.Run(version, func(t *testing.T) {
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				// A GET of HTTP/3 may have a body for all that its head says. An API that leaves it unread has HTTP/2 reset
				// the stream, and then Caddy's own wrapper of bodies is closed while it is read, which is a data race.
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

func TestStreamRequestTrailers(t *testing.T) {
	for _, version := range apiVersions {
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
							delete(req.Trailer, "Authorization") // at which a server of HTTP/2 resets the stream
						}
						res := do(t, clientFor(t, major, config), req)
						if res.StatusCode != 200 {
							t.Errorf("the client got %d", res.StatusCode)
						}
						want := `body <nil> ["k1"] map[X-Sum:[42]]`
						if text := receive(t, got, "the request"); text != want {
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
		if request := one(t, api); strings.Contains(request, "mine") || !strings.Contains(request, "Authorization: Bearer k1\r\n") {
			t.Errorf("the API got\n%s", request)
		}
	})
}

func TestStreamExpectContinue(t *testing.T) {
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
			for err == nil && res.StatusCode == 100 { // the API's own, which passes as any interim response
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

func TestStreamDisconnect(t *testing.T) {
	for _, version := range apiVersions {
		t.Run(version, func(t *testing.T) {
			begun, ended := make(chan struct{}, 8), make(chan struct{}, 8)
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/midway" {
					_, _ = io.WriteString(w, "line\n")
					_ = http.NewResponseController(w).Flush()
				}
				begun <- struct{}{}
				<-r.Context().Done()
				ended <- struct{}{}
			}))
			url, config := startTLS(t, base, "auth bearer {file."+rig.Save(t, "k1\n")+"}\n"+options)
			for _, major := range []int{1, 2, 3} {
				for _, path := range []string{"/midway", "/before"} {
					client := clientFor(t, major, config)
					ctx, cancel := context.WithCancel(t.Context())
					req := newRequest(t, "GET", url+path, nil).WithContext(ctx)
					done := make(chan struct{})
					go func() {
						defer close(done)
						res, err := client.Do(req)
						if err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							_ = res.Body.Close()
						}
					}()
					receive(t, begun, "the request at the API")
					cancel()
					receive(t, ended, protoOf(major)+" "+path+": the end of the request at the API")
					<-done
				}
			}
		})
	}
}

// The transport uses its clones of requests again. Whatever an API and a client do, no request may get anything of
// another's.
func TestStreamMixedUp(t *testing.T) {
	for _, version := range apiVersions {
		t.Run(version, func(t *testing.T) {
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				id := strings.TrimPrefix(r.URL.Path, "/v2/")
				if r.Header.Get("X-Id") != id || r.Header.Get("X-Client") != id || r.URL.RawQuery != "id="+id {
					t.Errorf("request %s came with %v and %q", id, r.Header, r.URL.RawQuery)
				}
				switch kind, _, _ := strings.Cut(id, "-"); kind {
				case "hints":
					w.Header().Set("X-Hint", id)
					w.WriteHeader(http.StatusEarlyHints)
				case "unread": // the answer comes while the body still goes
					w.Header().Set("X-Id", id)
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					return
				case "hang":
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
					return
				}
				body, err := io.ReadAll(r.Body)
				if err == nil && strings.ReplaceAll(string(body), id, "") != "" {
					t.Errorf("request %s came with another body", id)
				}
				w.Header().Set("X-Id", id)
				_, _ = io.WriteString(w, id)
			}))
			gateway := startFor(t, base+"/v2", "auth bearer {file."+rig.Save(t, "k1\n")+"}\nheader X-Id {http.request.header.X-Client}\n"+options)
			client := newClient(t)
			kinds := []string{"plain", "hints", "hang", "body", "large"}
			if version == "1.1" || version == "3" {
				kinds = append(kinds, "unread") // see TestStreamResponseTrailers
			}
			var callers sync.WaitGroup
			for caller := range 12 {
				callers.Go(func() {
					for i := range 25 {
						kind := kinds[(caller+i)%len(kinds)]
						id := fmt.Sprintf("%s-%d-%d", kind, caller, i)
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						var body io.Reader
						switch kind {
						case "hang":
							ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
						case "body":
							body = strings.NewReader(strings.Repeat(id, 50))
						case "large", "unread":
							body = strings.NewReader(strings.Repeat(id, 20000))
						}
						req, err := http.NewRequestWithContext(ctx, "POST", "http://"+gateway+"/"+id+"?id="+id, body)
						if err != nil {
							t.Error(err)
						}
						req.Header.Set("X-Client", id)
						res, err := client.Do(req)
						if err == nil {
							var text []byte
							text, err = io.ReadAll(res.Body)
							_ = res.Body.Close()
							if err == nil && (res.Header.Get("X-Id") != id || len(text) > 0 && string(text) != id) && kind != "unread" {
								t.Errorf("%s got %d %q with %v", id, res.StatusCode, text, res.Header)
							}
						}
						if err != nil && kind != "hang" && kind != "unread" {
							t.Errorf("%s: %v", id, err)
						}
						cancel()
					}
				})
			}
			callers.Wait()
		})
	}
}
