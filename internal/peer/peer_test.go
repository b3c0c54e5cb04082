// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const canary = "canary-of-the-peer-71c0e5"

// TestText: what each error of a client keeps.
func TestText(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{io.ErrUnexpectedEOF, "unexpected EOF"},
		{fmt.Errorf("malformed HTTP response %q", canary), "malformed HTTP response …"},
		{fmt.Errorf("broken: malformed MIME header line: %s", canary), "broken: malformed MIME header …"},
		{fmt.Errorf("broken: malformed MIME header: missing colon: %q", canary), "broken: malformed MIME header …"},
		{&quic.ApplicationError{Remote: true, ErrorCode: 0x100, ErrorMessage: canary}, "Application error 0x100 (remote) …"},
		{&quic.ApplicationError{ErrorCode: 0x100, ErrorMessage: "ours"}, "Application error 0x100 (local): ours"},
		{&quic.TransportError{Remote: true, ErrorCode: quic.InternalError, ErrorMessage: canary}, "INTERNAL_ERROR (remote) …"},
		{fmt.Errorf("get: %w", &http3.Error{Remote: true, ErrorCode: http3.ErrCodeNoError, ErrorMessage: canary}), "get: H3_NO_ERROR …"},
		{&http3.Error{Remote: true, ErrorCode: http3.ErrCodeNoError}, "H3_NO_ERROR"},
	} {
		if text, cut := Text(tt.err); text != tt.want || cut != (text != tt.err.Error()) {
			t.Errorf("%v: got %q, want %q; cut: %t", tt.err, text, tt.want, cut)
		}
	}
}

// TestUnusable: a 101 is an answer to who has asked for that protocol, and no status is below 100.
func TestUnusable(t *testing.T) {
	for _, tt := range []struct {
		asked, got string
		status     int
		want       error
	}{
		{"websocket", "WebSocket", 101, nil},
		{"", "websocket", 101, ErrSwitched},
		{"", "", 101, ErrSwitched},
		{"websocket", "", 101, ErrSwitched},
		{"websocket", "h2c", 101, ErrSwitched},
		{"", "websocket", 200, nil},
		{"", "", 0, ErrStatus},
		{"", "", 99, ErrStatus},
		{"", "", 999, nil},
	} {
		req, res := &http.Request{Header: make(http.Header)}, &http.Response{StatusCode: tt.status, Header: make(http.Header)}
		if tt.asked != "" {
			req.Header.Set("Upgrade", tt.asked)
		}
		if tt.got != "" {
			res.Header.Set("Upgrade", tt.got)
		}
		if got := Unusable(req, res); !errors.Is(got, tt.want) {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// lines is an output of the log package that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// logTo has the log package write to what is returned, behind the filter, until the test ends.
func logTo(t *testing.T) *lines {
	t.Helper()
	before, out := log.Writer(), new(lines)
	log.SetOutput(out)
	t.Cleanup(func() { log.SetOutput(before) })
	GuardLog()
	GuardLog()
	return out
}

// TestLogFilter: only what a peer has sent is left out.
func TestLogFilter(t *testing.T) {
	out := logTo(t)
	log.Print("a line of somebody else's")
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", canary, nil)
	log.SetPrefix("prefix ")
	defer log.SetPrefix("")
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", canary+"\n", io.EOF)
	log.Print("another")
	got := out.String()
	if strings.Contains(got, canary) || strings.Count(got, "Unsolicited") != 2 || strings.Count(got, "\n") != 4 ||
		!strings.Contains(got, "a line of somebody else's\n") || !strings.HasSuffix(got, "another\n") {
		t.Errorf("the log has %q", got)
	}
}

// TestUnsolicited: what a server sends that no request has asked for, in clear, over TLS, and
// through a tunnel. This is also how a new version of Go is noticed that says it in other words.
func TestUnsolicited(t *testing.T) {
	out := logTo(t)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	for name, answer := range map[string]string{
		"behind a body": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + canary,
		"behind chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + canary,
		"204":           "HTTP/1.1 204 No Content\r\n\r\n" + canary,
		"304":           "HTTP/1.1 304 Not Modified\r\n\r\n" + canary,
		"HEAD":          "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + canary,
		"an answer":     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX: " + canary + "\r\n\r\n",
		"later":         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\x00" + canary,
	} {
		for _, scheme := range []string{"http", "https", "https through a tunnel"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				l := answering(t, answer, strings.HasPrefix(scheme, "https"), certified.TLS)
				tr := &http.Transport{DialContext: Dial(nil), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, OnProxyConnectResponse: ProxyAnswer}
				defer tr.CloseIdleConnections()
				if strings.HasSuffix(scheme, "tunnel") {
					proxy := tunnel(t, l.Addr().String())
					tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
				}
				before := strings.Count(out.String(), "Unsolicited")
				method := http.MethodGet
				if name == "HEAD" {
					method = http.MethodHead
				}
				req, _ := http.NewRequestWithContext(t.Context(), method, strings.Fields(scheme)[0]+"://"+l.Addr().String(), nil)
				res, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if name == "later" {
					log.SetOutput(out) // as Caddy does for a configuration that then fails
				}
				for range 500 {
					if strings.Count(out.String(), "Unsolicited") > before {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if got := out.String(); strings.Count(got, "Unsolicited") <= before || strings.Contains(got, canary) {
					t.Errorf("the log has %q", got)
				}
			})
		}
	}
}

// answering returns a server that answers one request on each connection. What is behind a NUL it
// sends later.
func answering(t *testing.T, answer string, secure bool, config *tls.Config) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if secure {
				c := config.Clone()
				c.NextProtos = nil
				conn = tls.Server(conn, c)
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				now, later, _ := strings.Cut(answer, "\x00")
				_, _ = io.WriteString(conn, now)
				if later != "" {
					time.Sleep(50 * time.Millisecond)
					_, _ = io.WriteString(conn, later)
				}
				_, _ = io.Copy(io.Discard, r)
			}()
		}
	}()
	return l
}

// tunnel returns the address of a proxy that makes tunnels to one server.
func tunnel(t *testing.T, to string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer conn.Close()
		client, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(client, conn); client.Close() }()
		_, _ = io.Copy(conn, buf)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestProxyAnswer: a proxy that makes no tunnel says what it likes.
func TestProxyAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"refused":  "HTTP/1.1 407 " + canary + "\r\nProxy-Authenticate: Basic realm=" + canary + "\r\n\r\n" + canary,
		"no HTTP":  canary + "\r\n\r\n",
		"no field": "HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n",
		"no code":  "HTTP/1.1 " + canary + " OK\r\n\r\n",
	} {
		l := answering(t, answer, false, nil)
		tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()}), OnProxyConnectResponse: ProxyAnswer}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/", nil)
		_, err := tr.RoundTrip(req)
		cancel()
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v", name, err)
		}
		if text, _ := Text(err); strings.Contains(text, canary) || name == "refused" && !strings.HasSuffix(text, "407") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
