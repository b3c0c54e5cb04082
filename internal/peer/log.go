// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
)

// unsolicited begins the one line in which net/http's client shows what a peer has sent: bytes
// after an answer, and the body of an answer to HEAD, or of a 204 or 304. The line goes to the
// log package, which has one output for the whole process, and Caddy sends that output to its own
// log.
var unsolicited = []byte("Unsolicited response received on idle HTTP channel")

// logFilter is an output of the log package that drops what peers have sent.
type logFilter struct{ next io.Writer }

// Write implements io.Writer. The log package calls it once for each line.
func (f *logFilter) Write(line []byte) (int, error) {
	begin, _, found := bytes.Cut(line, unsolicited)
	if !found {
		return f.next.Write(line)
	}
	if _, err := f.next.Write(append(append(bytes.Clone(begin), unsolicited...), '\n')); err != nil {
		return 0, err
	}
	return len(line), nil
}

// GuardLog puts the filter in front of the log package's output, unless it is there. Caddy sets
// that output whenever it loads a configuration, even if loading fails. So GuardLog is called
// when a configuration has been loaded, when one has ended, before each request, and when a
// connection has read something. It costs a mutex that nobody else holds.
//
// net/http offers no other way. The bytes after an answer are in net/http's own buffer by then,
// above TLS and above a proxy's tunnel, so no net.Conn can hold them back. And without kept
// connections each request would dial.
func GuardLog() {
	if w := log.Writer(); !isFilter(w) {
		log.SetOutput(&logFilter{w})
	}
}

func isFilter(w io.Writer) bool {
	_, ok := w.(*logFilter)
	return ok
}

// Dial returns a dial function whose connections call GuardLog when they have read something: an
// idle connection may get bytes long after its last request.
func Dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &guardedConn{tcp}, err
		}
		return conn, err
	}
}

// guardedConn is a TCP connection that keeps all methods of a TCP connection, such as ReadFrom.
type guardedConn struct{ *net.TCPConn }

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		GuardLog()
	}
	return n, err
}
