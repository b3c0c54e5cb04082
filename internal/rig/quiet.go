// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"net"
	"testing"
)

// QuietAPI runs an API that answers every request without a body with 200 and "ok", and allocates
// nothing for it, so that all allocations that are counted are the gateway's. It returns the
// API's address.
func QuietAPI(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerQuietly(conn, answer)
		}
	}()
	return ln.Addr().String()
}

// answerQuietly answers each empty line, which ends a request.
func answerQuietly(conn net.Conn, answer []byte) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) > 2 {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
