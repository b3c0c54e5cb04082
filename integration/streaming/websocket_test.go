// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// upgraded is an API that speaks a protocol of its own after the handshake: it sends back what it
// gets.
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

func TestWebSocket(t *testing.T) {
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
		id := rig.NewCertificate(t)
		server := httptest.NewUnstartedServer(upgraded(t, func(got string) bool { return got == "Bearer k1" }))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{id.TLS()}}
		server.EnableHTTP2 = true // such a server must be asked for HTTP/1.1 then
		server.StartTLS()
		t.Cleanup(server.Close)
		gateway := startFor(t, server.URL, "auth bearer k1\nself_signed_cert "+id.File)
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
		rig.Replace(t, secret, "new\n")
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

// Go serves WebSockets over HTTP/2 (RFC 8441) only to a process whose environment says so from
// the start.
func TestWebSocketOverHTTP2(t *testing.T) {
	if !rig.InChild(t, "GODEBUG=http2xconnect=1") {
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

func TestWebSocketOverHTTP3(t *testing.T) {
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
	// Read to the end: when Caddy stops it sends a close message to open WebSockets, while it
	// still copies data.
	if rest := readAll(t, r); rest != "" {
		t.Errorf("the rest is %q", rest)
	}
}
