// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// noUserAgent keeps net/http from sending a User-Agent of its own.
var noUserAgent = []string{""}

// request makes of r what Caddy's proxy would send. Which fields the API gets, and the rest of the
// URL, is up to the transport. The request is a part of the exchange, see clone.go.
func (a *answering) request(r *http.Request) *http.Request {
	out, u := &a.out, &a.url
	*out, *u = *r.WithContext(a.slot.x.traced(r.Context())), *r.URL
	u.Scheme, u.Host = "", a.serving.address // clients may send an absolute URL
	out.URL, out.Close = u, false
	out.Header = a.requestFields(r)
	switch {
	case r.ContentLength == 0 && len(r.Trailer) == 0 || r.Body == nil:
		out.Body = nil // else net/http does not try again on another connection (golang/go#16036)
	case caddyhttp.IsIncremental(r.Header) && !mayHaveContent(r):
		// HTTP/3 has a GET without a body for one of unknown length.
		out.ContentLength, out.Body = 0, nil
	default:
		a.addBody(out, r)
	}
	return out
}

// requestFields returns the header fields of r but for those of one hop. It is the map of r itself
// where there is nothing to change.
func (a *answering) requestFields(r *http.Request) http.Header {
	early := r.TLS != nil && !r.TLS.HandshakeComplete
	if _, ok := r.Header["User-Agent"]; ok && !early && !hasHop(r.Header) {
		return r.Header
	}
	if a.fields == nil {
		a.fields = make(http.Header, len(r.Header)+2)
	}
	h := a.fields
	for name, values := range r.Header {
		if !isHop(name) {
			h[name] = values
		}
	}
	connection := r.Header["Connection"]
	removeListed(h, connection)
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") && !httpguts.HeaderValuesContainsToken(connection, "Te") {
		h["Te"] = []string{"trailers"}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = noUserAgent
	}
	if early {
		h["Early-Data"] = []string{"1"} // RFC 8470 §5.1
	}
	return h
}

// addBody gives out the body of in.
func (a *answering) addBody(out, in *http.Request) {
	body := &requestBody{body: in.Body}
	out.Body = body
	if in.ProtoMajor < 2 && in.ContentLength > 0 && len(in.Trailer) == 0 {
		return // without trailers
	}
	out.Trailer = make(http.Header, len(in.Trailer))
	for name := range in.Trailer {
		out.Trailer[name] = nil
	}
	if len(out.Trailer) > 0 {
		out.ContentLength = -1 // HTTP/1.1 has trailers behind chunks alone
		if _, ok := out.Header["Content-Length"]; ok {
			out.Header = maps.Clone(out.Header)
			delete(out.Header, "Content-Length")
		}
	}
	body.in, body.trailer = in, out.Trailer
}

// mayHaveContent reports whether a body of unknown length may have anything in it, as Caddy's
// proxy has it.
func mayHaveContent(r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength > 0
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		return false
	default:
		return true
	}
}

// requestBody is the body of a client's request. It copies the trailers when the body ends:
// net/http knows them then, and writes those of the outgoing request behind the body.
type requestBody struct {
	body    io.Reader
	in      *http.Request // nil: there are no trailers
	trailer http.Header
	ended   bool
	closed  atomic.Bool
}

// Read implements io.Reader. It reads nothing behind the end, see trailerCleaner.
func (b *requestBody) Read(p []byte) (int, error) {
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.ended:
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended = true
		if b.in != nil {
			clear(b.trailer)
			for name, values := range b.in.Trailer {
				b.trailer[name] = slices.Clone(values)
			}
		}
	}
	return n, err
}

// Close implements io.Closer. The client's body stays open: net/http closes that of a request
// which it could not send, and to close one that the client has not sent yet (Expect:
// 100-continue) would wait for it. Nothing is read any more: net/http may go on when the handler
// has returned (golang/go#46866).
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// tell writes what Caddy's proxy writes into the debug log of each request. req is the request
// before the credential was added.
func (s *serving) tell(req *http.Request, res *http.Response, err error, latency time.Duration) {
	c := s.logger.Check(zapcore.DebugLevel, "upstream roundtrip")
	if c == nil {
		return
	}
	server, _ := req.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	credentials := server != nil && server.Logs != nil && server.Logs.ShouldLogCredentials
	fields := []zap.Field{
		zap.String("upstream", s.address), zap.Duration("duration", latency),
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: req, ShouldLogCredentials: credentials}),
	}
	if err != nil {
		c.Write(append(fields, zap.Error(err))...)
		return
	}
	c.Write(append(fields,
		zap.Object("headers", caddyhttp.LoggableHTTPHeader{Header: res.Header, ShouldLogCredentials: credentials}),
		zap.Int("status", res.StatusCode))...)
}
