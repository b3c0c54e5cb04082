// SPDX-License-Identifier: Apache-2.0

// Package rig is what the tests share: a real Caddy in this process, APIs that keep the bytes they are sent, and clients
// that send bytes as they are told.
package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the Caddy that users build
)

// Adapt turns a Caddyfile into JSON.
func Adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// globals go in front of every Caddyfile whose test does not bring its own.
const globals = "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tgrace_period 1s\n\tdefault_bind 127.0.0.1\n}\n"

// Load adapts and loads a Caddyfile. An @ in front of a port is left to the caller; see Start.
func Load(caddyfile string) error {
	if !strings.HasPrefix(caddyfile, "{\n") {
		caddyfile = globals + caddyfile
	}
	config, err := Adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// Start runs a Caddy until the test ends. GATEWAY in the Caddyfile is replaced by an address on the loopback interface,
// which is returned, and PORT by its port.
func Start(t testing.TB, caddyfile string) (address string) {
	t.Helper()
	address = Free(t)
	_, port, _ := strings.Cut(address, ":")
	if err := Load(strings.NewReplacer("GATEWAY", address, "PORT", port).Replace(caddyfile)); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return address
}

// Ports from which Free takes: below those that systems give to connections on their own account, one of which would have the
// port of a gateway that is about to start.
const (
	firstPort = 10_240
	ports     = 20_000
)

// given counts the ports that Free has looked at. Each process begins somewhere else, since packages are tested side by side.
var given atomic.Int64

func init() { given.Store(int64(os.Getpid()) * 7919) }

// Free returns a TCP address that nobody listens on, and that it returns to nobody else in this process.
func Free(t testing.TB) string {
	t.Helper()
	for range ports {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+given.Add(1)%ports))
		if err != nil {
			continue // somebody has it
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// API is a server that keeps every request as the bytes that came.
type API struct {
	// Addr is host:port.
	Addr string

	// Answer returns the bytes of the response to a request, given the request's bytes. nil: 200 with the body "ok".
	// An empty answer closes the connection.
	Answer func(request string) string

	mu       sync.Mutex
	requests []string
	conns    int
}

// HangUp at the end of an answer closes the connection behind it.
const HangUp = "\x00hang up\x00"

// OK is a response with a body.
func OK(body string) string { return Response("200 OK", "", body) }

// Response is a response with a status line, header lines that each end in CR LF, and a body.
func Response(status, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
}

// NewAPI runs an API until the test ends.
func NewAPI(t testing.TB, answer func(request string) string) *API {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		answer = func(string) string { return OK("ok") }
	}
	api := &API{Addr: ln.Addr().String(), Answer: answer}
	t.Cleanup(func() { ln.Close() })
	go api.Serve(ln)
	return api
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

// Conns returns how many connections have been accepted.
func (a *API) Conns() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns
}

// ReadRequest reads the bytes of one request: up to the end of the header, of a body of known length, or of the last
// chunk with its trailers.
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

// Exchange sends bytes to an address on a connection of their own and returns the responses until the server closes the
// connection, or until the last of want responses.
func Exchange(t testing.TB, addr, request string, want int) []*Reply {
	t.Helper()
	replies, err := TryExchange(addr, request, want)
	if err != nil {
		t.Fatalf("exchange with %s: %v", addr, err)
	}
	return replies
}

// Reply is a response that has been read whole.
type Reply struct {
	*http.Response
	Text string // the body
}

// TryExchange is Exchange that returns its error.
func TryExchange(addr, request string, want int) ([]*Reply, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	go func() { _, _ = io.WriteString(conn, request) }()
	method, _, _ := strings.Cut(request, " ")
	r := bufio.NewReader(conn)
	var replies []*Reply
	for len(replies) < want {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return replies, nil
		}
		if err != nil {
			return replies, err
		}
		body, err := io.ReadAll(res.Body)
		replies = append(replies, &Reply{res, string(body)})
		if err != nil {
			return replies, err
		}
	}
	return replies, nil
}

// Get sends a GET with header lines that each end in CR LF, and returns the response.
func Get(t testing.TB, addr, target, header string) *Reply {
	t.Helper()
	return Do(t, addr, "GET", target, header, "")
}

// Do sends a request and returns the response.
func Do(t testing.TB, addr, method, target, header, body string) *Reply {
	t.Helper()
	length := ""
	if body != "" {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	replies := Exchange(t, addr, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n%s", method, target, addr, header, length, body), 1)
	if len(replies) == 0 {
		t.Fatalf("%s %s: no response", method, target)
	}
	return replies[0]
}

// Lines returns the lines of a request's head, sorted but for the first: Go writes header fields in no order that matters.
func Lines(request string) []string {
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	rest := lines[1:]
	for i := range rest {
		for j := i + 1; j < len(rest); j++ {
			if rest[j] < rest[i] {
				rest[i], rest[j] = rest[j], rest[i]
			}
		}
	}
	return lines
}
