// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// bufferSize is the size of the buffers by which bodies are copied, as in Caddy's proxy.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copyBody copies the body of an answer to the client, and reports whether all of it is there.
func (a *answering) copyBody(res *http.Response) bool {
	write := a.w.Write
	if res.ContentLength < 0 || streams(res) {
		s := newStream(a.w)
		defer s.end()
		write = s.Write
	}
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := res.Body.Read(buffer[:])
		if n > 0 {
			if _, a.unsent = write(buffer[:n]); a.unsent != nil {
				return false
			}
		}
		if err == io.EOF { //nolint:errorlint // the end is never wrapped (io.Reader)
			return true
		}
		if err != nil {
			a.unread = err
			return false
		}
	}
}

// stream writes an answer of which each piece must reach the client at once.
type stream struct {
	w     io.Writer
	flush func() error

	mu     sync.Mutex // of flush, and of ended
	header *time.Timer
	ended  bool
}

// headerWait is how long the header waits for the first piece of the body, which mostly comes with
// it: so both are sent by one system call.
const headerWait = time.Millisecond

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, flush: http.NewResponseController(w).Flush}
	s.header = time.AfterFunc(headerWait, s.flushHeader)
	return s
}

func (s *stream) flushHeader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = s.flush()
	}
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header.Stop()
	n, err := s.w.Write(p)
	_ = s.flush()
	return n, err
}

// end waits until nothing writes the header any more.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header.Stop()
	s.ended = true
}
