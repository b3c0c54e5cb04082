// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"maps"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/internal/replay"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
)

// body is the body of a request, and what is needed to send it again.
type body struct {
	first  io.ReadCloser
	window *replay.Window // nil: there is no body, or it is not kept

	length    int64       // as the client has said; -1: it has not
	trailer   http.Header // the request's, complete when the body ends
	announced http.Header // the trailer as it was before the body was read
}

// newBody returns the body of req, which the proxy has made of caller.
func newBody(req, caller *http.Request, ds *datasource, window int, again bool) body {
	b := body{first: req.Body, length: req.ContentLength}
	if req.Body == nil || req.Body == http.NoBody {
		return b
	}
	if req.Trailer != nil {
		ds.limits.cleanTrailer(ds.cleaner, req.Trailer)
		b.first = &trailerCleaner{b.first, func() { ds.limits.cleanTrailer(ds.cleaner, req.Trailer) }}
	}
	// If the credential cannot be renewed, the window is only for another connection, and a body
	// that does not fit into the window has no use for it. A refusal by an MCP server is answered
	// with the id in the body.
	if window > 0 && (again || ds.signing.ofRequests() || ds.renewable() || ds.mcp || req.ContentLength <= int64(window)) {
		if b.trailer = req.Trailer; len(b.trailer) > 0 {
			b.announced = b.trailer.Clone()
		}
		b.window = replay.NewWindow(b.first, window)
		if caller.Body != nil {
			b.window.Interrupt = caller.Body
		}
		b.first = b.window.First()
	}
	return b
}

// whole waits for all of the body, which a signature needs. A body of which the client says that
// it is too large is not waited for.
func (b body) whole() ([]byte, error) {
	if b.first == nil || b.first == http.NoBody {
		return nil, nil
	}
	if b.window == nil || b.length > int64(b.window.Limit()) {
		return nil, signature.ErrTooLarge
	}
	content, ok, err := b.window.Whole()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, signature.ErrTooLarge
	default:
		return content, nil
	}
}

// measure gives out the length of a body that is there as a whole by now. Many services that want
// signatures refuse a body without a length.
func (b body) measure(out *http.Request) {
	if b.window == nil || out.ContentLength >= 0 || len(b.trailer) > 0 {
		return
	}
	if n, ok := b.window.Size(); ok {
		out.ContentLength, out.TransferEncoding = int64(n), nil
	}
}

// sent returns the body for out. To net/http a length of 0 with a body is an unknown length.
func (b body) sent(out *http.Request, attempt io.ReadCloser) io.ReadCloser {
	if b.length < 0 && out.ContentLength == 0 {
		return http.NoBody
	}
	return attempt
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

// trailers gives a request that is sent again trailers of its own. While they are announced, the
// first attempt may come to the end of the body, where net/http writes the trailers into the map
// of the request.
func (b body) trailers(again io.ReadCloser) (io.ReadCloser, http.Header) {
	if b.trailer == nil {
		return again, nil
	}
	own := make(http.Header, len(b.announced))
	maps.Copy(own, b.announced)
	return &trailerCleaner{again, func() { maps.Copy(own, b.trailer) }}, own
}

// getBody returns the http.Request.GetBody of a request with this body, or nil. Without GetBody
// net/http cannot send a request on a second connection if the server has not taken it from the
// first, as at the end of each HTTP/2 connection (GOAWAY).
func (b body) getBody() func() (io.ReadCloser, error) {
	switch {
	case b.window == nil:
		return nil
	case len(b.trailer) > 0:
		return b.window.GetBodyAtRest
	default:
		return b.window.GetBody
	}
}

func (b body) finish() {
	if b.window != nil {
		b.window.Finish()
	}
}

// trailerCleaner calls clean when the body ends: only then are its trailers known. It reads
// nothing behind the end: net/http does, once a body of a known length is sent, and its server
// closes the body when it begins to write the answer of an API that was faster. The error would
// end the connection to the API in the midst of the answer (golang/go#40747).
type trailerCleaner struct {
	io.ReadCloser
	clean func() // nil: the body has ended
}

func (b *trailerCleaner) Read(p []byte) (int, error) {
	if b.clean == nil {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.clean()
		b.clean = nil
	}
	return n, err
}
