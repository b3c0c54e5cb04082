// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// switcher is an API that switches protocols, asked or not, and waits for the gateway to close the
// connection.
type switcher struct {
	addr   string
	seen   atomic.Int64 // requests
	open   atomic.Int64 // connections on which a request was answered and that are not closed
	answer string
}

func newSwitcher(t *testing.T, answer string) *switcher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &switcher{addr: l.Addr().String(), answer: answer}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *switcher) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := http.ReadRequest(r); err != nil {
		return
	}
	s.seen.Add(1)
	s.open.Add(1)
	defer s.open.Add(-1)
	_, _ = io.WriteString(conn, s.answer)
	_, _ = io.Copy(io.Discard, r)
}

// wantClosed fails the test unless all connections are closed soon.
func (s *switcher) wantClosed(t *testing.T) {
	t.Helper()
	for range 200 {
		if s.open.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d connections of %d requests are open", s.open.Load(), s.seen.Load())
}

// TestSwitchedUnasked: an API answers 101 to who has not asked for another protocol, or for
// another one. The caller is told that the gateway is bad, and the connection, which nobody would
// close otherwise, is closed; that of a health check too. The same holds for a status that does
// not exist.
func TestSwitchedUnasked(t *testing.T) {
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, tt := range map[string]struct{ asked, answer string }{
		"not asked":          {"", "Upgrade: websocket\r\nConnection: Upgrade\r\n"},
		"not asked, no name": {"", ""},
		"asked, no name":     {upgrade, ""},
		"asked for another":  {upgrade, "Upgrade: h2c\r\nConnection: Upgrade\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newSwitcher(t, "HTTP/1.1 101 Switching Protocols\r\n"+tt.answer+"\r\n")
			gateway := rig.Start(t, fmt.Sprintf("http://GATEWAY {\nauthenticated_api http://%s {\nauth bearer t0k3n\n}\n}\n", api.addr))
			if res := rig.Get(t, gateway, "/x", tt.asked); res.StatusCode != http.StatusBadGateway {
				t.Errorf("got %s", res.Status)
			}
			if api.seen.Load() != 1 {
				t.Errorf("%d requests", api.seen.Load())
			}
			api.wantClosed(t)
		})
	}
	for _, status := range []string{"000", "099"} {
		t.Run("status "+status, func(t *testing.T) {
			api := newSwitcher(t, "HTTP/1.1 "+status+" None\r\nContent-Length: 0\r\n\r\n")
			gateway := rig.Start(t, fmt.Sprintf("http://GATEWAY {\nauthenticated_api http://%s {\nauth bearer t0k3n\n}\n}\n", api.addr))
			if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != http.StatusBadGateway {
				t.Errorf("got %s", res.Status)
			}
			api.wantClosed(t)
		})
	}
	t.Run("health checks", func(t *testing.T) {
		api := newSwitcher(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		gateway := rig.Start(t, strings.ReplaceAll("http://GATEWAY {\nauthenticated_api {\nname h\nauth bearer t0k3n\n}\nreverse_proxy API {\n"+
			"health_uri /up\nhealth_interval 50ms\ntransport authenticated_api {\ndatasource h\n}\n}\n}\n", "API", api.addr))
		for range 200 {
			if api.seen.Load() > 3 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if api.seen.Load() <= 3 || api.open.Load() > 2 {
			t.Errorf("%d health checks, of which %d are under way", api.seen.Load(), api.open.Load())
		}
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %s", res.Status)
		}
	})
}
