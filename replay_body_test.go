// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestReplayBodies(t *testing.T) {
	const window = 64 << 10
	for _, test := range []struct {
		name    string
		size    int
		chunked bool
		options string
		again   bool
	}{
		{"nothing", 0, false, "", true},
		{"nothing, chunked", 0, true, "", true},
		{"1 byte", 1, false, "", true},
		{"32 KiB", 32 << 10, false, "", true},
		{"32 KiB, chunked", 32 << 10, true, "", true},
		{"the window", window, false, "", true},
		{"the window, chunked", window, true, "", true},
		{"over the window", window + 1, false, "", false},
		{"over the window, chunked", window + 1, true, "", false},
		{"far over the window", 1 << 20, false, "", false},
		{"1MiB", 1 << 20, false, "replay 1MiB", true},
		{"over 1MiB", 1<<20 + 1, false, "replay 1MiB", false},
		{"10 bytes", 10, false, "replay 10", true},
		{"over 10 bytes", 11, false, "replay 10", false},
		{"off", 1, false, "replay off", false},
		{"off, no body", 0, false, "replay off", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
			gateway, secret := replayGateway(t, api.Addr, test.options)
			rotate(t, secret, "new")
			body := strings.Repeat("0123456789abcdef", test.size/16+1)[:test.size]
			head := "POST /x HTTP/1.1\r\nHost: " + gateway + "\r\n"
			request := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, test.size, body)
			if test.chunked {
				request = head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n"
			}
			res := rig.Exchange(t, gateway, request, 1)[0]
			requests := api.Requests()
			if _, sent, _ := strings.Cut(requests[0], "\r\n\r\n"); dechunk(sent) != body {
				t.Errorf("the API got another body of %d bytes", len(sent))
			}
			if test.again {
				wantOK(t, res)
				wantTwice(t, requests, "Bearer old", "Bearer new")
				return
			}
			wantRefusal(t, res)
			if len(requests) != 1 {
				t.Errorf("the API got %d requests, want 1", len(requests))
			}
			// The refusal had the credential read again behind its back.
			if test.options == "replay off" {
				waitFor(t, "a request with the new credential", func() bool {
					return rig.Get(t, gateway, "/y", "").StatusCode == 200
				})
				return
			}
			wantOK(t, rig.Get(t, gateway, "/y", ""))
		})
	}
}

// hastyAPI refuses the first request as soon as it has seen its head, and serves the second one
// whole. It tells of both heads, and returns the second request.
func hastyAPI(t *testing.T) (addr string, heads chan string, whole chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	heads, whole = make(chan string, 8), make(chan string, 8)
	serve := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(conn)
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		heads <- head.String()
		if strings.Contains(head.String(), "Bearer old\r\n") {
			_, _ = io.WriteString(conn, rig.Response("401 Unauthorized", "Connection: close\r\n", refusal))
			_, _ = io.Copy(io.Discard, r) // until the other side closes: a reset could swallow the answer
			return
		}
		request, err := rig.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), r)))
		if err != nil {
			return
		}
		whole <- request
		_, _ = io.WriteString(conn, rig.OK("ok"))
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return ln.Addr().String(), heads, whole
}

// An API that refuses a request before its body has come gets it whole the second time, from a
// client that is slow.
func TestReplaySlowBody(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 32<<10/16)
	for _, test := range []struct {
		name     string
		chunked  bool
		trailers bool
		second   bool // the rest of the body waits until the second request's head has come
	}{
		{"length", false, false, false},
		{"length, rest behind the second head", false, false, true},
		{"chunked", true, false, false},
		{"chunked, rest behind the second head", true, false, true},
		{"trailers", true, true, false},
		{"trailers, rest behind the second head", true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, heads, whole := hastyAPI(t)
			gateway, secret := replayGateway(t, addr, "")
			rotate(t, secret, "new")
			conn, err := net.Dial("tcp", gateway)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			send := func(text string) {
				t.Helper()
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
			}
			piece := func(text string) {
				t.Helper()
				if test.chunked {
					text = chunk(text)
				}
				send(text)
			}
			head := "POST /x HTTP/1.1\r\nHost: " + gateway + "\r\n"
			switch {
			case test.trailers:
				head += "Trailer: X-Sum, Authorization\r\nTransfer-Encoding: chunked\r\n"
			case test.chunked:
				head += "Transfer-Encoding: chunked\r\n"
			default:
				head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
			}
			send(head + "\r\n")
			piece(body[:1000])
			rig.Receive(t, heads, "the first head")
			piece(body[1000:2000])
			if test.second {
				rig.Receive(t, heads, "the second head")
			}
			for rest := body[2000:]; rest != ""; {
				n := min(len(rest), 3000)
				piece(rest[:n])
				rest = rest[n:]
			}
			if test.chunked {
				send("0\r\n")
				if test.trailers {
					send("X-Sum: 42\r\nAuthorization: mine\r\n")
				}
				send("\r\n")
			}
			request := rig.Receive(t, whole, "the second request")
			reqHead, sent, _ := strings.Cut(request, "\r\n\r\n")
			if !strings.Contains(reqHead, "Bearer new") {
				t.Errorf("the API got\n%s", reqHead)
			}
			if test.trailers {
				if !strings.HasSuffix(sent, "\r\n0\r\nX-Sum: 42\r\n\r\n") {
					t.Errorf("the trailers are %q", sent[len(sent)-60:])
				}
				if strings.Contains(request, "mine") {
					t.Error("the client's Authorization came through as a trailer")
				}
			}
			if test.chunked {
				sent = dechunk(sent)
			}
			if sent != body {
				t.Errorf("the API got another body, of %d bytes, want %d", len(sent), len(body))
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || string(text) != "ok" {
				t.Errorf("the client got %d %q, %v", res.StatusCode, text, err)
			}
		})
	}
}

// A body in the client's own coding is sent again byte by byte.
func TestReplayBinaryBody(t *testing.T) {
	body := make([]byte, 5000)
	for i := range body {
		body[i] = byte(i * 7)
	}
	api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
	gateway, secret := replayGateway(t, api.Addr, "")
	rotate(t, secret, "new")
	wantOK(t, rig.Do(t, gateway, "PUT", "/x", "Content-Encoding: br\r\nContent-Type: application/octet-stream\r\n", string(body)))
	for _, request := range api.Requests() {
		if !bytes.HasSuffix([]byte(request), append([]byte("\r\n\r\n"), body...)) || !strings.Contains(request, "Content-Encoding: br\r\n") {
			t.Errorf("the API got\n%.300q", request)
		}
	}
}
