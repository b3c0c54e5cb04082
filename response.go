// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// cleanHeader removes from the header fields of a response what must not reach the caller, and maps its links to the
// gateway. req is the request as the transport has got it, nil if the transport is none of ours, and caller the one that the
// handler has got.
func (ds *datasource) cleanHeader(h http.Header, req, caller *http.Request, sent *auth.Sent) {
	ds.response.Header(h)
	if auth.HasLinks(h) {
		ds.response.Links(h, sent, ds.answerRoute(req, caller, sent))
	}
	ds.response.Secrets(h, sent)
}

// cleanResponse is cleanHeader for a response and for its trailers, which are known when its body ends.
func (ds *datasource) cleanResponse(res *http.Response, req, caller *http.Request, sent *auth.Sent) {
	ds.cleanHeader(res.Header, req, caller, sent)
	if ds.perUser() {
		keepPrivate(res.Header)
	}
	if res.StatusCode == http.StatusSwitchingProtocols || res.ContentLength >= 0 && res.ProtoMajor < 2 || res.Body == nil {
		return // after 101 the body is the connection; with a length HTTP/1.1 has no trailers
	}
	ds.response.Header(res.Trailer)
	res.Body = &responseBody{res.Body, ds.response, res, *sent}
}

// responseBody cleans the trailers of a response when they have come.
type responseBody struct {
	io.ReadCloser
	cleaner *auth.ResponseCleaner
	res     *http.Response
	sent    auth.Sent // a copy: the exchange may be over
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.cleaner.Header(b.res.Trailer)
		b.cleaner.Links(b.res.Trailer, &b.sent, nil)
		b.cleaner.Secrets(b.res.Trailer, &b.sent)
	}
	return n, quiet(err)
}

// quiet returns err with a text in which nothing is that the API has sent.
func quiet(err error) error {
	if err == nil {
		return nil // apart, since what errors.As needs is allocated at the beginning of a function
	}
	return withoutQuotes(err)
}

func withoutQuotes(err error) error {
	var dial reverseproxy.DialError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &dial) || errors.As(err, &certificate) {
		return err
	}
	text, cut := peer.Text(err)
	if !cut {
		return err
	}
	return &quietError{err, text}
}

// quietProxy is quiet for the error of a proxy that has another transport than ours.
func quietProxy(err error) error {
	e, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || e.Err == nil || e.StatusCode != http.StatusBadGateway && e.StatusCode != http.StatusGatewayTimeout {
		return err
	}
	e.Err = quiet(e.Err)
	return e
}

// quietError is an error with another text.
type quietError struct {
	error
	text string
}

// Error implements error.
func (e *quietError) Error() string { return e.text }

// Unwrap returns the error whose text it is not.
func (e *quietError) Unwrap() error { return e.error }

// cleaningWriter cleans the response of a proxy that does not have our transport. What was in the header before, the
// gateway's own part of it, stays.
type cleaningWriter struct {
	*caddyhttp.ResponseWriterWrapper
	ds     *datasource
	logger *zap.Logger
	req    *http.Request
	x      *exchange
	before http.Header
	wrote  bool
}

func (h *Handler) newCleaningWriter(w http.ResponseWriter, r *http.Request, x *exchange) *cleaningWriter {
	c := &cleaningWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, ds: x.ds, logger: h.logger, req: r, x: x}
	c.before = c.withheld()
	return c
}

// withheld returns the fields of the header that must not come from the API.
func (w *cleaningWriter) withheld() http.Header {
	fields := make(http.Header)
	for name, values := range w.Header() {
		if w.withholds(name) {
			fields[name] = slices.Clone(values)
		}
	}
	return fields
}

func (w *cleaningWriter) withholds(name string) bool {
	return name == "Www-Authenticate" || w.ds.response.Drops(name)
}

// WriteHeader implements http.ResponseWriter.
func (w *cleaningWriter) WriteHeader(status int) {
	if w.wrote || w.x.taken { // our own transport has cleaned what the API sent; the rest is the operator's
		w.ResponseWriterWrapper.WriteHeader(status)
		return
	}
	w.wrote = status >= 200 || status == http.StatusSwitchingProtocols
	w.ds.tellRefusal(w.logger, statusOf(status, w.Header()), w.Header(), false)
	if statusOf(status, w.Header()) == http.StatusUnauthorized && w.ds.renewable() {
		w.x.renewal(w.req.Context(), w.logger)()
	}
	w.clean()
	if w.wrote {
		w.x.confine(w.Header(), status)
	}
	w.ResponseWriterWrapper.WriteHeader(status)
	if w.wrote {
		w.before = w.withheld()
	}
}

// Write implements http.ResponseWriter.
func (w *cleaningWriter) Write(p []byte) (int, error) {
	if !w.wrote && !w.x.taken {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.Write(p)
}

func (w *cleaningWriter) clean() {
	h := w.Header()
	w.ds.cleanHeader(h, nil, w.req, &w.x.sent)
	if w.wrote && w.ds.perUser() {
		keepPrivate(h)
	}
	maps.Copy(h, w.before)
	if len(h["Trailer"]) == 0 {
		return
	}
	// What is announced here goes behind the body, even if it is ours.
	var announced []string
	for name := range strings.SplitSeq(strings.Join(h["Trailer"], ","), ",") {
		if name = strings.TrimSpace(name); !w.withholds(http.CanonicalHeaderKey(name)) {
			announced = append(announced, name)
		}
	}
	if len(announced) > 0 {
		h["Trailer"] = []string{strings.Join(announced, ", ")}
	} else {
		delete(h, "Trailer")
	}
}

// finish cleans the trailers, which are in the header map after the body. Over HTTP/3 the header itself may not have been
// sent by then.
func (w *cleaningWriter) finish() {
	if !w.wrote || w.x.taken {
		return // the proxy failed: the header is the error route's
	}
	h := w.Header()
	trailer := slices.Concat(h[grpcField], h[http.TrailerPrefix+grpcField])
	if isGRPC(h) && grpcStatus(trailer, http.StatusOK) == http.StatusUnauthorized && w.ds.renewable() {
		w.x.renewal(w.req.Context(), w.logger)()
	}
	for name, values := range h {
		trailer := strings.TrimPrefix(name, http.TrailerPrefix)
		if w.withholds(trailer) {
			delete(h, name)
		} else {
			w.ds.response.Links(http.Header{trailer: values}, &w.x.sent, nil)
		}
	}
	w.ds.response.Secrets(h, &w.x.sent)
	maps.Copy(h, w.before)
}
