// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// cleaningWriter cleans the response of a proxy that does not have our transport. Header fields
// that were there before the proxy wrote any are the gateway's own, and stay.
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
	if w.wrote || w.x.taken { // our own transport has cleaned what the API sent
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
	if w.ds.mcp && status == http.StatusUnauthorized {
		status = problem.Refused.Status() // the client would begin an OAuth of its own
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
		clean.MarkPrivate(h)
	}
	maps.Copy(h, w.before)
	if len(h["Trailer"]) == 0 {
		return
	}
	// net/http sends what is announced here behind the body, even if it is the gateway's own.
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

// finish cleans the trailers, which are in the header map after the body. Over HTTP/3 the header
// itself may not have been sent by then.
func (w *cleaningWriter) finish() {
	if !w.wrote || w.x.taken {
		return // the proxy failed, so the header is the error route's
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
			w.ds.response.Links(http.Header{trailer: values}, &w.x.sent.Sent, nil)
		}
	}
	w.ds.response.Secrets(h, &w.x.sent.Sent)
	maps.Copy(h, w.before)
}
