// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Canaries: none of them may be in a log or an error, in whatever encoding.
const (
	clientSecret = "canary-client-secret-0b7e41"
	bodyText     = "canary-body-text-5d90aa"
	tokenText    = "canary-access-token-c2f816"
)

// leaks returns the canaries that text holds, plain, in base64 at each of the three alignments, or
// in hex.
func leaks(text string) []string {
	var found []string
	lower := strings.ToLower(text)
	for _, canary := range []string{clientSecret, bodyText, tokenText} {
		if strings.Contains(text, canary) || strings.Contains(lower, hex.EncodeToString([]byte(canary))) {
			found = append(found, canary)
		}
		for pad := range 3 {
			// The first and the last group depend on the neighbours.
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, pad), canary...))
			if strings.Contains(text, encoded[4:len(encoded)-4]) {
				found = append(found, "base64 of "+canary)
			}
		}
	}
	return found
}

// serve returns the URL of a token endpoint.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // a handler may wait for the end of its request
		server.Close()
	})
	return server.URL + "/token"
}

// respond returns a handler that answers with headers in pairs.
func respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// configOf returns the configuration of a client whose endpoints are all at one URL.
func configOf(url string) *Config {
	return &Config{
		AuthorizationURL: url, TokenURL: url, RevocationURL: url, RedirectURL: "https://g.example/connect/callback",
		ClientID: "i", ClientSecret: clientSecret, Timeout: 500 * time.Millisecond,
		Tokens: func() []string { return []string{tokenText} },
	}
}

// attemptAt makes one token request at an endpoint, and returns its error. Whatever the endpoint
// does, the request needs no more than a megabyte for it, it ends in time, and nobody gets to see
// secrets or what the endpoint has written.
func attemptAt(t *testing.T, url string) error {
	t.Helper()
	client := New(nil, nil)
	defer client.CloseIdleConnections()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := client.Credentials(context.Background(), configOf(url))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8*maxAnswer {
		t.Errorf("%d bytes were allocated", n)
	}
	if err == nil {
		return nil
	}
	if found := leaks(anyText(err) + logged(t, err)); found != nil {
		t.Errorf("the error shows %q: %v", found, err)
	}
	return err
}

// logged returns what a log has of an error.
func logged(t *testing.T, err error) string {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // it is what requests return
	if !ok {
		t.Fatalf("no *Error: %v", err)
	}
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	line, err := enc.EncodeEntry(zapcore.Entry{}, []zap.Field{zap.Inline(e), zap.NamedError("cause", e.Err)})
	if err != nil {
		t.Fatal(err)
	}
	return line.String()
}

// anyText formats an error in all the ways that show what is in it.
func anyText(err error) string { return fmt.Sprintf("%v %+v %q", err, err, err) }

// wire is a token endpoint that keeps the raw bytes of each request. It speaks one request a
// connection.
type wire struct {
	addr     string
	requests chan string
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l.Addr().String(), make(chan string, 100)}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var raw bytes.Buffer
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &raw)))
			if err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			w.requests <- raw.String()
			const body = `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
			conn.Close()
		}
	}()
	return w
}

func (w *wire) url() string { return "http://" + w.addr + "/token" }
