// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answering is a request that its handler serves itself, and its answer. It is a part of the
// exchange, so that it costs nothing.
type answering struct {
	w       http.ResponseWriter
	serving *serving
	slot    *slot
	repl    *caddy.Replacer

	// The request that the transport gets.
	out    http.Request
	url    url.URL
	fields http.Header // of its own; nil: it never needed any

	failed   error // of the transport
	unread   error // of the API's body
	unsent   error // of the client's connection
	complete bool

	mu     sync.Mutex
	done   bool // the transport has returned, so interim answers are too late
	onPass passInterim
}

func (a *answering) begin(s *serving, w http.ResponseWriter, r *http.Request, slot *slot) {
	a.w, a.serving, a.slot = w, s, slot
	a.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	slot.begin(s, a.repl)
}

// ended says that the transport has returned.
func (a *answering) ended() {
	a.mu.Lock()
	a.done = true
	a.mu.Unlock()
}

// reset makes the answer that of the next request.
func (a *answering) reset() {
	fields, onPass := a.fields, a.onPass
	clear(fields)
	*a = answering{fields: fields, onPass: onPass}
}

// answer passes an answer to the client, as Caddy's proxy does. If it breaks off, answer panics,
// which has the server cut the client's connection.
func (a *answering) answer(res *http.Response) {
	forgetProxies(a.repl)
	h := a.w.Header()
	delete(h, "Server")
	h["Via"] = append(h["Via"], via(res))
	addTo(h, res.Header)
	announced := len(res.Trailer)
	if announced > 0 {
		h.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
	}
	a.w.WriteHeader(res.StatusCode)
	if !a.copyBody(res) {
		_ = res.Body.Close()
		panic(http.ErrAbortHandler)
	}
	a.complete = true
	_ = res.Body.Close() // the trailers are there now
	if len(res.Trailer) == 0 {
		return
	}
	// With trailers net/http must not work out the length of a short body, and write that.
	_ = http.NewResponseController(a.w).Flush()
	prefix := ""
	if len(res.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range res.Trailer {
		h[prefix+name] = append(slices.Clip(h[prefix+name]), values...)
	}
}

// addTo adds fields of an answer, but for those of one hop, to the fields of ours.
func addTo(h, more http.Header) {
	for name, values := range more {
		if isHop(name) {
			continue
		}
		if before := h[name]; len(before) > 0 {
			values = append(slices.Clip(before), values...)
		}
		h[name] = values
	}
}

// via is what Caddy's proxy writes into the answer's Via.
func via(res *http.Response) string {
	switch {
	case res.ProtoMajor == 1 && res.ProtoMinor == 1:
		return "1.1 Caddy"
	case res.ProtoMajor == 2 && res.ProtoMinor == 0:
		return "2.0 Caddy"
	default:
		return strconv.Itoa(res.ProtoMajor) + "." + strconv.Itoa(res.ProtoMinor) + " Caddy"
	}
}

// streams reports whether the pieces of an answer must not wait for each other: those of events,
// and those that the API wants forwarded as they come (RFC 10036). One of unknown length streams
// anyway.
func streams(res *http.Response) bool {
	if caddyhttp.IsIncremental(res.Header) {
		return true
	}
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// pass passes an interim answer (1xx) to the client, unless the final one is on its way. As
// with Caddy's proxy it has the fields that are there for the final one too, and leaves none.
func (a *answering) pass(code int, header textproto.MIMEHeader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return nil
	}
	h := a.w.Header()
	own := maps.Clone(h)
	interim := http.Header(header).Clone()
	removeListed(interim, interim["Connection"])
	addTo(h, interim)
	a.w.WriteHeader(code)
	clear(h)
	maps.Copy(h, own)
	return nil
}

// end completes what the log and the placeholders say.
func (a *answering) end() {
	s := a.serving
	s.inFlight.Add(-1)
	a.slot.finish(a.complete)
	if a.slot.status == 0 {
		forgetProxies(a.repl)
	}
	if a.unread == nil && a.unsent == nil {
		return
	}
	err, level := quiet(a.unread), zapcore.WarnLevel
	if a.unsent != nil {
		err = a.unsent
		if gone, ok := err.(*http3.Error); ok && gone.Remote && gone.ErrorCode == http3.ErrCodeRequestCanceled { //nolint:errorlint // the server's own error
			level = zapcore.DebugLevel // the client has left, and nobody need know
		}
	}
	if c := s.logger.Check(level, "aborting with incomplete response"); c != nil {
		c.Write(zap.String("datasource", s.ds.name), zap.Error(err))
	}
	_ = http.NewResponseController(a.w).Flush() // what there is
}
