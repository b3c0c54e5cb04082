// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"io"
	"maps"
	"net/http"
	"net/textproto"
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

// answering is the answer to a request that its handler serves itself: the http.ResponseWriter
// that httputil.ReverseProxy writes to, and what it has to remember. It is a part of the exchange,
// so that it costs nothing.
type answering struct {
	http.ResponseWriter
	serving *serving
	slot    *slot
	repl    *caddy.Replacer

	failed   error // of the transport
	unread   error // of the API's body
	unsent   error // of the client's connection
	complete bool
	body     io.ReadCloser // of the API

	mu     sync.Mutex
	done   bool // the transport has returned, so interim answers are too late
	onPass passInterim
}

func (a *answering) begin(s *serving, w http.ResponseWriter, r *http.Request, slot *slot) {
	a.ResponseWriter, a.serving, a.slot = w, s, slot
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
	onPass := a.onPass
	*a = answering{onPass: onPass}
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Write implements http.ResponseWriter.
func (a *answering) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	if err != nil {
		a.unsent = err
	}
	return n, err
}

// answerBody is the body of the API's answer, which remembers why it could not be read.
type answerBody struct{ *answering }

// Read implements io.Reader.
func (b answerBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the end is never wrapped (io.Reader)
		b.unread = err
	}
	return n, err
}

// Close implements io.Closer.
func (b answerBody) Close() error { return b.body.Close() }

// answer is the proxy's ModifyResponse. It writes the header, as Caddy's proxy does, and leaves
// httputil.ReverseProxy none to copy value by value.
func (s *serving) answer(res *http.Response) error {
	a := &slotOf(res.Request).x.answering
	forgetProxies(a.repl)
	if streams(res) {
		res.ContentLength = -1 // has httputil flush each piece
	}
	delete(res.Header, "Alt-Svc") // of one hop, for Caddy's proxy
	own := a.Header()
	delete(own, "Server")
	own["Via"] = append(own["Via"], via(res))
	addTo(own, res.Header)
	res.Header = nil
	a.body = res.Body
	res.Body = answerBody{a}
	return nil
}

func addTo(h, more http.Header) {
	for name, values := range more {
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

// hopFields are the fields of one hop, as Caddy's proxy has them. httputil removes them from final
// answers alone.
var hopFields = [...]string{
	"Alt-Svc", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// pass passes an interim answer (1xx) to the client, unless the final one is on its way. As
// with Caddy's proxy it has the fields that are there for the final one too, and leaves none.
func (a *answering) pass(code int, header textproto.MIMEHeader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return nil
	}
	h := a.Header()
	own := maps.Clone(h)
	interim := http.Header(header).Clone()
	for _, list := range interim["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			interim.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopFields {
		delete(interim, name)
	}
	addTo(h, interim)
	a.WriteHeader(code)
	clear(h)
	maps.Copy(h, own)
	return nil
}

// end completes what the log and the placeholders say. An answer that has broken off ends with a
// panic of httputil.ReverseProxy, which has the server cut the connection.
func (a *answering) end() {
	s := a.serving
	s.inFlight.Add(-1)
	a.slot.finish(a.complete && a.failed == nil)
	if a.slot.status == 0 {
		forgetProxies(a.repl)
	}
	if a.complete || a.unread == nil && a.unsent == nil {
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
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what there is
}
