// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// API is a server that keeps the bytes of each request.
type API struct {
	// Addr is host:port.
	Addr string

	// Answer returns the bytes of the response to a request, given the bytes of the request. An
	// empty answer closes the connection.
	Answer func(request string) string

	mu       sync.Mutex
	requests []string
	conns    int
}

// HangUp at the end of an answer closes the connection after it.
const HangUp = "\x00hang up\x00"

// OK is a response with a body.
func OK(body string) string { return Response("200 OK", "", body) }

// Response is a response with a status line, header lines that each end in CR LF, and a body.
func Response(status, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
}

// NewAPI runs an API until the test ends. If answer is nil, the API answers 200 with the body
// "ok".
func NewAPI(t testing.TB, answer func(request string) string) *API {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		answer = okToAll
	}
	api := &API{Addr: ln.Addr().String(), Answer: answer}
	t.Cleanup(func() { ln.Close() })
	go api.Serve(ln)
	return api
}

// okToAll answers each request with 200, and HEAD without the body: what came after it would be
// taken for the answer to the next request on the connection (RFC 9112 §6.3).
func okToAll(request string) string {
	answer := OK("ok")
	if strings.HasPrefix(request, "HEAD ") {
		answer = strings.TrimSuffix(answer, "ok")
	}
	return answer
}

// Serve accepts connections until the listener is closed.
func (a *API) Serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		a.conns++
		a.mu.Unlock()
		go a.serve(conn)
	}
}

func (a *API) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		request, err := ReadRequest(r)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.requests = append(a.requests, request)
		a.mu.Unlock()
		answer := a.Answer(request)
		answer, hangUp := strings.CutSuffix(answer, HangUp)
		if answer == "" {
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil || hangUp {
			return
		}
	}
}

// Requests returns the bytes of the requests since it was called last.
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	requests := a.requests
	a.requests = nil
	return requests
}

// Request returns the only request since Requests or Request was called last, and fails the test
// if there is another number of them.
func (a *API) Request(t testing.TB) string {
	t.Helper()
	requests := a.Requests()
	if len(requests) != 1 {
		t.Fatalf("the API got %d requests, want 1:\n%s", len(requests), strings.Join(requests, "\n"))
	}
	return requests[0]
}

// Conns returns how many connections have been accepted.
func (a *API) Conns() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns
}

// ReadRequest reads the bytes of one request: up to the end of the header, of a body of known
// length, or of the last chunk with its trailers.
func ReadRequest(r *bufio.Reader) (string, error) {
	var raw bytes.Buffer
	length, chunked := 0, false
	for {
		line, err := r.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return raw.String(), err
		}
		if strings.TrimSpace(line) == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "content-length":
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return raw.String(), err
			}
		case "transfer-encoding":
			chunked = true
		}
	}
	if !chunked {
		_, err := io.CopyN(&raw, r, int64(length))
		return raw.String(), err
	}
	for last := false; ; {
		line, err := r.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return raw.String(), err
		}
		trimmed := strings.TrimSpace(line)
		switch {
		case last && trimmed == "":
			return raw.String(), nil
		case last:
			continue // a trailer
		}
		size, err := strconv.ParseInt(trimmed, 16, 64)
		if err != nil {
			return raw.String(), err
		}
		if size == 0 {
			last = true
			continue
		}
		if _, err := io.CopyN(&raw, r, size+2); err != nil {
			return raw.String(), err
		}
	}
}
