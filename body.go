// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// body is the body of a request with what it takes to send it again.
type body struct {
	first  io.ReadCloser
	window *auth.Window // nil: there is no body, or it is not kept
}

func newBody(req *http.Request, ds *datasource, window int) body {
	b := body{first: req.Body}
	if req.Body == nil || req.Body == http.NoBody {
		return b
	}
	if req.Trailer != nil {
		ds.cleaner.Trailer(req.Trailer)
		b.first = &trailerCleaner{b.first, func() { ds.cleaner.Trailer(req.Trailer) }}
	}
	if ds.method.Renewable() && window > 0 {
		b.window = auth.NewWindow(b.first, window)
		b.first = b.window.First()
	}
	return b
}

// replayable reports whether again is likely to succeed.
func (b body) replayable() bool {
	if b.window == nil {
		return b.first == nil || b.first == http.NoBody
	}
	return b.window.Kept()
}

func (b body) again() (io.ReadCloser, bool) {
	if b.window == nil {
		return b.first, b.replayable()
	}
	return b.window.Again()
}

func (b body) finish() {
	if b.window != nil {
		b.window.Finish()
	}
}

// trailerCleaner calls clean when the body ends: only then are its trailers known.
type trailerCleaner struct {
	io.ReadCloser
	clean func()
}

func (b *trailerCleaner) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.clean()
	}
	return n, err
}
