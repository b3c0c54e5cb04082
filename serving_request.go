// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// noUserAgent keeps net/http from sending a User-Agent of its own.
var noUserAgent = []string{""}

// rewrite makes of the request that httputil.ReverseProxy has prepared what Caddy's proxy makes of
// it. Which fields the API gets, and the rest of the URL, is up to the transport.
func (s *serving) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	// Clients may send an absolute URL. httputil drops parameters that Go cannot read, and an API
	// may read them.
	out.URL.Scheme, out.URL.Host, out.URL.RawQuery = "", s.address, in.URL.RawQuery
	// For Caddy's proxy these are fields of one hop.
	delete(out.Header, "Alt-Svc")
	if _, ok := out.Header["Te"]; ok && httpguts.HeaderValuesContainsToken(in.Header["Connection"], "Te") {
		delete(out.Header, "Te")
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = noUserAgent
	}
	if in.TLS != nil && !in.TLS.HandshakeComplete {
		out.Header["Early-Data"] = []string{"1"} // RFC 8470 §5.1
	}
	if out.Body == nil {
		return
	}
	if caddyhttp.IsIncremental(out.Header) && !mayHaveContent(out) {
		// HTTP/3 has a GET without a body for one of unknown length.
		out.ContentLength, out.Body = 0, nil
		return
	}
	if len(out.Trailer) > 0 {
		out.ContentLength = -1 // HTTP/1.1 has trailers behind chunks alone
		delete(out.Header, "Content-Length")
	}
	if out.Trailer == nil {
		out.Trailer = make(http.Header)
	}
	out.Body = &trailerCopier{out.Body, in, out.Trailer}
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

// trailerCopier copies the trailers of a client's request when its body ends. net/http knows them
// then, and writes those of the outgoing request behind the body.
type trailerCopier struct {
	io.ReadCloser
	in  *http.Request // nil: they are copied
	out http.Header
}

// Read implements io.Reader.
func (b *trailerCopier) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.in != nil {
		clear(b.out)
		for name, values := range b.in.Trailer {
			b.out[name] = slices.Clone(values)
		}
		b.in = nil
	}
	return n, err
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
