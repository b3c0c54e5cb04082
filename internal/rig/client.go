// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Exchange sends bytes to an address on a connection of their own. It returns the responses until
// the server closes the connection, and want of them at most.
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

// Get sends a GET, with header lines that each end in CR LF, and returns the response.
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
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n%s", method, target, addr, header, length, body)
	replies := Exchange(t, addr, request, 1)
	if len(replies) == 0 {
		t.Fatalf("%s %s: no response", method, target)
	}
	return replies[0]
}

// Lines returns the lines of a request's head, all but the first sorted: Go writes header fields
// in no fixed order.
func Lines(request string) []string {
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	return lines
}

// WantHead fails the test unless the head of a request consists of the given lines, no more and no
// less, in any order but for the first line.
func WantHead(t testing.TB, request string, want ...string) {
	t.Helper()
	got := strings.Join(Lines(request), "\n")
	if want := strings.Join(Lines(strings.Join(want, "\r\n")), "\n"); got != want {
		t.Errorf("the API got\n%s\nwant\n%s", got, want)
	}
}
