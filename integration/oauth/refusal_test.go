// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestRevoked has an API that refuses a token which is not expired. One renewal and one replay,
// with the body, repair that, and the caller notices nothing.
func TestRevoked(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	for _, test := range []struct {
		name string
		body io.Reader // nil: a GET
		want string
	}{
		{"no body", nil, "served 0"},
		{"known length", strings.NewReader(strings.Repeat("b", 50_000)), "served 50000"},
		// Of an io.Reader that net/http does not know it cannot tell the length, so it sends
		// chunks.
		{"chunks", io.MultiReader(strings.NewReader(strings.Repeat("b", 30_000)), strings.NewReader("end")), "served 30003"},
		{"filling the window", strings.NewReader(strings.Repeat("b", 64<<10)), "served 65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(t, directive(a.URL, p, ""))
			c := newClient(t)
			wantServed(t, c, g.addr)
			p.RevokeAccess()
			p.Requests.Store(0)
			a.served.Store(0)
			a.refused.Store(0)
			method := http.MethodPost
			if test.body == nil {
				method = http.MethodGet
			}
			req, err := http.NewRequest(method, "http://"+g.addr+"/x", test.body)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != test.want {
				t.Errorf("the client got %d %q", res.StatusCode, body)
			}
			if a.served.Load() != 1 || a.refused.Load() != 1 {
				t.Errorf("the API has served %d and refused %d, want 1 and 1", a.served.Load(), a.refused.Load())
			}
			p.WantRequests(t, 1)
		})
	}
}

// TestRevokedHerd withdraws a token under load. One renewal is enough for all requests, and no
// caller sees a 401.
func TestRevokedHerd(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	wantServed(t, newClient(t), g.addr)
	p.Delay.Store(int64(200 * time.Millisecond))
	l := startLoad(t, g.addr, 32, 5*time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	p.RevokeAccess()
	time.Sleep(700 * time.Millisecond)
	l.finish(t)
	p.WantRequests(t, 2)
	if a.refused.Load() == 0 {
		t.Error("the API has refused nothing")
	}
}

// TestRevokedOverWindow: a body that does not fit the window cannot be sent again. The refusal
// passes, and the next request is served.
func TestRevokedOverWindow(t *testing.T) {
	p := provider.New(t, time.Hour)
	// It reads the body before it refuses, so that more than the window has gone for sure.
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !accepts(p, token) {
			http.Error(w, "refused", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "served 0")
	}))
	t.Cleanup(a.Close)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	c := newClient(t)
	wantServed(t, c, g.addr)
	p.RevokeAccess()
	res, err := c.Post("http://"+g.addr+"/x", "text/plain", strings.NewReader(strings.Repeat("b", 200_000)))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 401 || string(body) != "refused\n" {
		t.Errorf("the client got %d %q, want the API's own answer", res.StatusCode, body)
	}
	for range 100 { // the renewal is in the background
		if p.Answered.Load() == 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
}

// TestReplayIsSignedAnew: the second attempt has a signature of its own.
func TestReplayIsSignedAnew(t *testing.T) {
	key, text := rig.ECKey(t)
	file := rig.Save(t, text)
	p := provider.New(t, time.Hour)
	var mu sync.Mutex
	var signatures []string
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		signatures = append(signatures, r.Header.Values("X-Appsmith-Signature")...)
		mu.Unlock()
		if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !accepts(p, token) {
			http.Error(w, "refused", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "served 0")
	}))
	t.Cleanup(a.Close)
	g := newGateway(t)
	// A claim of the request makes each signature one of its own; ECDSA makes it another text even
	// in the same second.
	g.load(t, fmt.Sprintf("authenticated_api %s {\nname crm\n%s\nsignature {\nalgorithm ES256\nkey_file %s\nclaim path {http.request.uri.path}\n}\n}",
		a.URL, method(p, ""), file))
	c := newClient(t)
	wantServed(t, c, g.addr)
	p.RevokeAccess()
	wantServed(t, c, g.addr)
	if len(signatures) != 3 || signatures[1] == signatures[2] {
		t.Fatalf("the API got the signatures %q", signatures)
	}
	for _, signature := range signatures {
		_, err := jwt.Parse(signature, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{"ES256"}))
		if err != nil {
			t.Errorf("%q: %v", signature, err)
		}
	}
}

// TestWebSocket: a handshake that is refused is sent again, and the connection works in both
// directions.
func TestWebSocket(t *testing.T) {
	p := provider.New(t, time.Hour)
	var mu sync.Mutex
	var handshakes int
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !accepts(p, token) {
			http.Error(w, "refused", http.StatusUnauthorized)
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "dGhlIHNhbXBsZSBub25jZQ==" {
			fmt.Fprint(w, "served 0")
			return
		}
		mu.Lock()
		handshakes++
		mu.Unlock()
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_, _ = io.Copy(conn, rw) // frames or not: what comes goes back
	}))
	t.Cleanup(a.Close)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	wantServed(t, newClient(t), g.addr)
	p.RevokeAccess()

	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", g.addr)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("the client got %v, %v", res, err)
	}
	for _, text := range []string{"hello", "again"} {
		fmt.Fprint(conn, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Errorf("the client got %q back, %v", got, err)
		}
	}
	p.WantRequests(t, 2)
	if handshakes != 1 {
		t.Errorf("%d handshakes have succeeded", handshakes)
	}
}
