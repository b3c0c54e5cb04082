// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// script is what a provider does with a connection: it writes, and returns when the connection is
// to be closed.
type script func(conn net.Conn, gone <-chan struct{})

// says writes texts, one after the other.
func says(texts ...string) script {
	return func(conn net.Conn, _ <-chan struct{}) {
		for _, text := range texts {
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
		}
	}
}

// endings is what may follow a head, or a part of one.
func endings() map[string]script {
	forever := func(text string, every time.Duration) script {
		return func(conn net.Conn, gone <-chan struct{}) {
			for {
				if _, err := conn.Write([]byte(text)); err != nil {
					return
				}
				select {
				case <-gone:
					return
				case <-time.After(every):
				}
			}
		}
	}
	return map[string]script{
		"hangs":            func(_ net.Conn, gone <-chan struct{}) { <-gone },
		"goes on slowly":   forever(" ", 20*time.Millisecond),
		"goes on fast":     forever(strings.Repeat(" ", 4096), time.Millisecond),
		"informs for ever": forever("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", time.Millisecond),
		"has chunks":       forever("1\r\n \r\n", 20*time.Millisecond),
		"extends its chunk": func(c net.Conn, gone <-chan struct{}) {
			says("1;")(c, gone)
			forever("a", 20*time.Millisecond)(c, gone)
		},
		"trails": func(c net.Conn, gone <-chan struct{}) {
			says("0\r\n")(c, gone)
			forever("A: b\r\n", 20*time.Millisecond)(c, gone)
		},
		"resets": func(conn net.Conn, _ <-chan struct{}) {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		},
	}
}

// heads begin an answer.
var heads = []string{
	"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nX-Half: ",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
	"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n{",
	"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n",
}

// hostile is a provider that follows a script until it is good.
type hostile struct {
	net.Listener
	good atomic.Bool
}

func newHostile(t *testing.T, do script) *hostile {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{Listener: l}
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone); l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				h.serve(conn, do, gone)
			}()
		}
	}()
	return h
}

func (h *hostile) serve(conn net.Conn, do script, gone <-chan struct{}) {
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body := make([]byte, req.ContentLength)
		if _, err := r.Read(body); err != nil && len(body) > 0 {
			return
		}
		if !h.good.Load() {
			do(conn, gone)
			return
		}
		const answer = `{"access_token":"good","refresh_token":"r","expires_in":3600}`
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer); err != nil {
			return
		}
	}
}

// senders are the requests that are sent to a provider.
var senders = map[string]func(ctx context.Context, c *Client, cfg *Config) error{
	"credentials": func(ctx context.Context, c *Client, cfg *Config) error {
		_, err := c.Credentials(ctx, cfg)
		return err
	},
	"refresh": func(ctx context.Context, c *Client, cfg *Config) error {
		a, err := c.Refresh(ctx, cfg, "r")
		if err == nil && a.AccessToken != "good" {
			return fmt.Errorf("got %q", a.AccessToken)
		}
		return err
	},
	"exchange": func(ctx context.Context, c *Client, cfg *Config) error {
		_, err := c.Exchange(ctx, cfg, "code", "verifier")
		return err
	},
	"revoke": func(ctx context.Context, c *Client, cfg *Config) error { return c.Revoke(ctx, cfg, "a", "") },
}

const hostileTimeout = 200 * time.Millisecond

// newSender returns a client, and a configuration whose endpoints are all at one URL.
func newSender(t *testing.T, url string, config *tls.Config) (*Client, *Config) {
	t.Helper()
	client := New(config, new(net.Dialer).DialContext)
	t.Cleanup(client.CloseIdleConnections)
	cfg := configOf(url)
	cfg.Timeout = hostileTimeout
	return client, cfg
}

// ends fails the test unless a sender ends by its time.
func ends(t *testing.T, what string, c *Client, cfg *Config, send func(context.Context, *Client, *Config) error) {
	t.Helper()
	begin := time.Now()
	err := send(t.Context(), c, cfg)
	if took := time.Since(begin); took > hostileTimeout+leaveAfter+2*time.Second { // the machine may be busy
		t.Errorf("%s: it ended after %v with %v", what, took, err)
	}
	if err != nil && oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

// TestEveryAnswerEnds: whatever a provider's answer does, at whichever place a request is sent,
// the request ends by its time, and the next one, when the provider is well, is good.
func TestEveryAnswerEnds(t *testing.T) {
	var all sync.WaitGroup
	for _, head := range heads {
		for ending, after := range endings() {
			for place, send := range senders {
				h := newHostile(t, func(conn net.Conn, gone <-chan struct{}) {
					says(head)(conn, gone)
					after(conn, gone)
				})
				c, cfg := newSender(t, "http://"+h.Addr().String()+"/", nil)
				all.Go(func() {
					what := fmt.Sprintf("%s: %.40q, and it %s", place, head, ending)
					ends(t, what, c, cfg, send)
					h.good.Store(true)
					cfg.Timeout = 10 * time.Second
					if err := send(t.Context(), c, cfg); err != nil {
						t.Errorf("%s: then the provider is well: %v", what, err)
					}
				})
			}
		}
		all.Wait() // else a slow machine has too much to do at a time
	}
}

// TestEveryConnectionEnds: the same for what comes before and beside answers: TLS that is never
// made, and HTTP/2 that says anything but an answer.
func TestEveryConnectionEnds(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	serverTLS := certified.TLS.Clone()
	serverTLS.NextProtos = []string{"h2"}
	frames := func(do func(f *http2.Framer, n int) error) script {
		return func(conn net.Conn, gone <-chan struct{}) {
			server := tls.Server(conn, serverTLS)
			f := http2.NewFramer(server, server)
			if err := f.WriteSettings(); err != nil {
				return
			}
			go func() { // else the client's frames would fill the socket
				for {
					if _, err := server.Read(make([]byte, 4096)); err != nil {
						return
					}
				}
			}()
			for n := 0; do(f, n) == nil; n++ {
				select {
				case <-gone:
					return
				case <-time.After(time.Millisecond):
				}
			}
			<-gone
		}
	}
	for name, do := range map[string]script{
		"no TLS":        func(_ net.Conn, gone <-chan struct{}) { <-gone },
		"slow TLS":      endings()["goes on slowly"],
		"nothing in h2": frames(func(*http2.Framer, int) error { return http.ErrServerClosed }),
		"settings": frames(func(f *http2.Framer, n int) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16384})
		}),
		"pings": frames(func(f *http2.Framer, n int) error { return f.WritePing(false, [8]byte{1}) }),
		"go away": frames(func(f *http2.Framer, n int) error {
			return f.WriteGoAway(1<<31-1, http2.ErrCodeNo, []byte(oauthtest.BodyText))
		}),
		"reset": frames(func(f *http2.Framer, n int) error { return f.WriteRSTStream(1, http2.ErrCodeRefusedStream) }),
		"headers": frames(func(f *http2.Framer, n int) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}})
		}),
		"a slow body": frames(func(f *http2.Framer, n int) error {
			if n == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: []byte{0x88}}) // :status 200
			}
			return f.WriteData(1, false, []byte(" "))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan struct{})
			t.Cleanup(func() { close(gone); l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						do(conn, gone)
					}()
				}
			}()
			for place, send := range senders {
				c, cfg := newSender(t, "https://"+l.Addr().String()+"/", &tls.Config{InsecureSkipVerify: true})
				ends(t, place, c, cfg, send)
			}
		})
	}
}

// TestDeafTransport: a request ends by its time though what sends it knows no contexts, or panics.
func TestDeafTransport(t *testing.T) {
	for name, do := range map[string]func() (*http.Response, error){
		"deaf":   func() (*http.Response, error) { select {} },
		"panics": func() (*http.Response, error) { panic(oauthtest.BodyText) },
		"deaf body": func() (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: make(http.Header), Body: deafBody{make(chan struct{})}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			for place, send := range senders {
				c, cfg := newSender(t, "http://127.0.0.1:1/", nil)
				c.Transport.RegisterProtocol("http", doer(do))
				ends(t, place, c, cfg, send)
			}
		})
	}
}

type doer func() (*http.Response, error)

func (d doer) RoundTrip(*http.Request) (*http.Response, error) { return d() }

type deafBody struct{ forever chan struct{} }

func (b deafBody) Read([]byte) (int, error) { <-b.forever; return 0, nil }
func (b deafBody) Close() error             { <-b.forever; return nil }
