// SPDX-License-Identifier: Apache-2.0

// Package replay keeps the beginning of a request's body, so that the request can be sent again.
package replay

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// Window keeps the beginning of a request's body while the body streams to an API. A request whose
// body is short enough can be sent once more: with a fresh credential, or on another connection if
// the API has not taken it from the first connection. Nothing waits for the window: the API gets
// every byte as soon as the client has sent it.
//
// The transport may go on reading a body after it has returned a response (http.RoundTripper: "the
// caller must wait for Close"). If a read of the first attempt is under way when the second
// attempt begins, its bytes are kept for the second attempt, and the first attempt gets an error.
type Window struct {
	src   io.ReadCloser
	limit int

	// Interrupt is closed in place of the body while a read of the body is under way, and ends the
	// read. It is for a body that must not be closed during a read. Default: the body itself.
	//
	// The body that Caddy's proxy passes to a transport is of that kind: Read counts bytes without
	// a lock, and Close looks at the count. A client of HTTP/2 closes a body during a read
	// whenever a server answers before it has the whole request, as in most refusals of gRPC.
	Interrupt io.Closer

	reading sync.Mutex // held while src is read; taken before mu

	mu       sync.Mutex
	buf      []byte
	err      error // how src ended, mostly io.EOF
	begun    bool  // somebody reads src, or has read it
	overflow bool  // more came than limit: buf is gone
	attempt  int
	final    bool // no attempt follows
	closed   bool // the current attempt was closed
	released bool // src was closed

	first attempt
}

// readAhead is how much Whole makes room for at a time.
const readAhead = 8 << 10

var (
	errOutdated   = errors.New("the request is being sent again")
	errGone       = errors.New("the API has not taken the request, and its body cannot be had from the beginning any more")
	errBodyClosed = errors.New("read of a closed request body")
)

// NewWindow returns a window of at most limit bytes at the beginning of src.
func NewWindow(src io.ReadCloser, limit int) *Window {
	w := &Window{src: src, limit: limit}
	w.first.window = w
	return w
}

// First returns the body for the first attempt.
func (w *Window) First() io.ReadCloser { return &w.first }

// GetBody is http.Request.GetBody. The client of net/http calls it if a server has not processed a
// request, which may then be sent on another connection (RFC 9113 §6.8 and §8.7, RFC 9110 §9.2.2).
// It returns an error if the beginning of the body is gone.
func (w *Window) GetBody() (io.ReadCloser, error) {
	body, ok := w.Again()
	if !ok {
		return nil, errGone
	}
	return body, nil
}

// GetBodyAtRest is GetBody for a request with trailers. A read that comes to the end of the
// client's body writes them into the request, so no other attempt may look at them while a read is
// possible. GetBodyAtRest returns an error unless nothing has been read yet, or everything.
func (w *Window) GetBodyAtRest() (io.ReadCloser, error) {
	w.mu.Lock()
	atRest := !w.begun || w.err != nil
	w.mu.Unlock()
	if !atRest {
		return nil, errGone
	}
	return w.GetBody()
}

// Again returns the body for another attempt, from its first byte. It returns false if more than
// the window has been read already. From then on the body of the attempt before returns errors.
func (w *Window) Again() (io.ReadCloser, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.kept() {
		return nil, false
	}
	w.attempt++
	w.closed = false
	return &attempt{window: w, number: w.attempt}, true
}

// Limit returns how many bytes are kept.
func (w *Window) Limit() int { return w.limit }

// Size returns the size of the body, if all of it has been read and is kept.
func (w *Window) Size() (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf), errors.Is(w.err, io.EOF) && !w.overflow && len(w.buf) <= w.limit
}

// Whole waits for the rest of the body, and returns all of it, or false if it is larger than the
// window. What it has read is kept for the attempts. The bytes must not be changed.
func (w *Window) Whole() ([]byte, bool, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	for {
		room := w.room()
		if room == nil {
			break
		}
		n, err := w.src.Read(room)
		w.mu.Lock()
		w.buf = w.buf[:len(w.buf)+n]
		w.err = err
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err == nil || w.overflow || len(w.buf) > w.limit:
		return nil, false, nil
	case errors.Is(w.err, io.EOF):
		return slices.Clip(w.buf), true, nil
	default:
		return nil, false, w.err
	}
}

// room returns where the next bytes of src go, or nil if there is nothing more to read, or to
// keep. One byte more than the window is read: only that tells a body that is too large from one
// that fits.
func (w *Window) room() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.overflow || w.final || len(w.buf) > w.limit {
		return nil
	}
	w.begun = true
	w.buf = slices.Grow(w.buf, min(readAhead, w.limit+1-len(w.buf)))
	return w.buf[len(w.buf):min(cap(w.buf), w.limit+1)]
}

// Kept reports whether the body can be had from its first byte at this moment.
func (w *Window) Kept() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept()
}

func (w *Window) kept() bool {
	return !w.overflow && !w.final && (w.err == nil || errors.Is(w.err, io.EOF))
}

// Finish says that no attempt follows. From now on the client's body is closed with the body of
// the current attempt, as it is without a window: a proxy that tries another upstream must not
// find the rest of a body that was read in part.
func (w *Window) Finish() {
	w.mu.Lock()
	w.final = true
	release := w.closed && !w.released
	w.released = w.released || release
	w.mu.Unlock()
	if release {
		_ = w.closeSource()
	}
}

// closeSource closes src, and ends a read of it that is under way.
func (w *Window) closeSource() error {
	if w.Interrupt == nil {
		return w.src.Close()
	}
	if !w.reading.TryLock() {
		return w.Interrupt.Close()
	}
	defer w.reading.Unlock()
	return w.src.Close()
}

// attempt is the body of one attempt. It implements io.ReadCloser.
type attempt struct {
	window *Window
	number int
	off    int
	closed bool
}

// Read implements io.Reader.
func (a *attempt) Read(p []byte) (int, error) {
	w := a.window
	if n, err, done := a.fromBuffer(p); done {
		return n, err
	}
	w.reading.Lock()
	defer w.reading.Unlock()
	// Another attempt's read may have filled the buffer while this one waited.
	if n, err, done := a.fromBuffer(p); done {
		return n, err
	}
	n, err := w.src.Read(p)

	w.mu.Lock()
	defer w.mu.Unlock()
	outdated := a.number != w.attempt
	if !w.overflow {
		if len(w.buf)+n > w.limit && !outdated {
			w.overflow, w.buf = true, nil
		} else {
			w.buf = append(w.buf, p[:n]...)
		}
	}
	if err != nil {
		w.err = err
	}
	if outdated {
		return 0, errOutdated
	}
	a.off += n
	return n, err
}

// fromBuffer serves a read that needs nothing from the client.
func (a *attempt) fromBuffer(p []byte) (n int, err error, done bool) { //nolint:staticcheck // not the last: done says whether the others count
	w := a.window
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case a.closed:
		return 0, errBodyClosed, true
	case a.number != w.attempt:
		return 0, errOutdated, true
	case a.off < len(w.buf):
		n = copy(p, w.buf[a.off:])
		a.off += n
		return n, nil, true
	case w.err != nil:
		return 0, w.err, true
	case len(p) == 0:
		return 0, nil, true
	default:
		w.begun = true
		return 0, nil, false
	}
}

// Close implements io.Closer. The client's body stays open as long as another attempt may follow.
func (a *attempt) Close() error {
	w := a.window
	w.mu.Lock()
	a.closed = true
	current := a.number == w.attempt
	w.closed = w.closed || current
	release := current && w.final && !w.released
	w.released = w.released || release
	w.mu.Unlock()
	if release {
		return w.closeSource()
	}
	return nil
}
