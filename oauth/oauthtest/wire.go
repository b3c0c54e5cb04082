// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// Wire is a token endpoint that keeps the raw bytes of each request. It speaks one request a
// connection.
type Wire struct {
	Addr     string
	Requests chan string
}

// NewWire starts a token endpoint, which ends with the test.
func NewWire(t testing.TB) *Wire {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{l.Addr().String(), make(chan string, 100)}
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
			w.Requests <- raw.String()
			const body = `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
			conn.Close()
		}
	}()
	return w
}

// URL returns the address of the endpoint.
func (w *Wire) URL() string { return "http://" + w.Addr + "/token" }
