// SPDX-License-Identifier: Apache-2.0

// Package authenticatedapi gives every caller behind Caddy authenticated access to an HTTP API, and no caller ever holds
// the credential.
//
// It has two halves. The handler decides whether a request may go and with which credential, and cleans what the client
// sent. The transport, below Caddy's reverse_proxy, puts the credential on a clone of the outgoing request, in the last
// step before it is sent: a credential that is put on the incoming request can be stripped by a client (Connection:
// Authorization), is seen by error routes and logs, and can neither be signed nor sent again.
package authenticatedapi

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler gives the requests that pass it access to one HTTP API. It cleans a request of what a client has sent in the
// place of credentials and gets the credential; the transport `authenticated_api` of the `reverse_proxy` behind it puts
// the credential on the outgoing request.
//
// Without a base URL it puts the credential on a copy of the request itself, for whichever proxy follows. Then the debug
// log of that proxy can show the credential, and a refused request cannot be sent again unless that proxy has the
// transport `authenticated_api` too.
//
// Placeholders that are set when a request is refused:
//
// Placeholder | Description
// ------------|---------------
// `{http.authenticated_api.datasource}` | The name of the datasource
// `{http.authenticated_api.error_code}` | Why the request was refused, such as `bad-path`
type Handler struct {
	Datasource

	// `caddy` hands the errors of this handler to Caddy's error routes. Default: they are answered with an
	// `application/problem+json` (RFC 9457).
	Errors string `json:"errors,omitempty"`

	// The address of Caddy's admin endpoint, besides the one that the configuration has, for the transport
	// `authenticated_api` of a proxy of your own that does not say it itself. In a Caddyfile it is taken from the global
	// option `admin`.
	AdminAddress string `json:"admin_address,omitempty"`

	ds     *datasource
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.authenticated_api",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if h.Errors != "" && h.Errors != "caddy" {
		return fmt.Errorf("errors: %s is not possible; caddy is", value.Quote(h.Errors, "caddy"))
	}
	if h.AdminAddress != "" {
		app, err := ctx.App("authenticated_api")
		if err != nil {
			return fmt.Errorf("loading the authenticated_api app: %w", err)
		}
		app.(*App).admin = h.AdminAddress
	}
	ds, err := h.provision(ctx)
	if err != nil {
		return err
	}
	h.ds = ds
	h.ds.logger = h.logger
	h.ds.site.handler = h
	return nil
}

// statusClientClosedRequest is what Caddy's proxy writes, and logs, when a client leaves before it has an answer.
const statusClientClosedRequest = 499

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	w, p, answered := h.ds.crossOrigin.handle(w, r)
	if answered {
		return nil
	}
	if p == nil {
		p = h.ds.checkHost(r)
	}
	if p == nil {
		p = h.ds.checkWorker(r)
	}
	if p == nil {
		p = refuse(r)
	}
	if p == nil {
		p = h.ds.tooMany(r)
	}
	if p == nil {
		r, p = h.ds.mapPlaces(r)
	}
	if p != nil {
		if c := h.logger.Check(zapcore.DebugLevel, "refused a request"); c != nil {
			c.Write(zap.String("datasource", h.ds.name), zap.String("code", p.Code()))
		}
		return h.answer(w, r, p)
	}
	x, p, err := h.ds.newExchange(r)
	if err != nil && r.Context().Err() != nil {
		w.WriteHeader(statusClientClosedRequest)
		return nil
	}
	if err != nil {
		// What is wrong with a token the source has logged, once for each attempt to get one.
		if c := h.logger.Check(zapcore.DebugLevel, "refused a request"); c != nil {
			c.Write(zap.String("datasource", h.ds.name), zap.String("code", p.Code()), zap.Error(err))
		}
		return h.answer(w, r, p)
	}
	defer x.release()
	out := h.clean(r)
	if x.written {
		if err := h.write(out, r, x); err != nil {
			return h.answer(w, r, h.ds.unsigned(h.logger, err))
		}
	}
	if h.ds.base == nil {
		peer.GuardLog() // the proxy may have another transport than ours
		cleaning := h.newCleaningWriter(w, r, x)
		defer cleaning.finish() //nolint:contextcheck // what it renews is for the next request
		w = cleaning
	}
	// The exchange ends with this handler: an error route that has the transport must not find it.
	s := slotOf(r)
	before := s.x
	s.x = x
	defer func() { s.x = before }()
	if err := next.ServeHTTP(w, out); err != nil {
		if !x.taken {
			err = quietProxy(err)
		}
		return h.unreachable(w, r, x, err)
	}
	return h.checkServed(w, r, x)
}

// checkServed looks after a request for the proxy that was to send it. Without one the client would get an empty 200, which
// is what happens when the base URL is a {$NAME} that is not set.
func (h *Handler) checkServed(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if unhandled, _ := caddyhttp.GetVar(r.Context(), "unhandled").(bool); unhandled && !x.taken {
		h.logger.Error("no proxy stands behind this handler; give a base URL, or put a reverse_proxy there",
			zap.String("datasource", h.ds.name))
		return h.answer(w, r, problem.NoProxy)
	}
	if h.ds.base != nil && !x.taken {
		if c := h.logger.Check(zapcore.WarnLevel, "a request was answered, and not by the transport authenticated_api"); c != nil {
			c.Write(zap.String("datasource", h.ds.name))
		}
	}
	return nil
}

// refuse says why a request never leaves.
func refuse(r *http.Request) *problem.Problem {
	switch r.Method {
	case http.MethodTrace:
		return problem.Method
	case http.MethodConnect:
		// RFC 8441, RFC 9220: a WebSocket over HTTP/2 and HTTP/3.
		overHTTP2 := r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket"
		if !overHTTP2 && (r.ProtoMajor != 3 || r.Proto != "websocket") {
			return problem.Method
		}
	}
	if r.URL.Opaque != "" || r.URL.Path != "" && r.URL.Path[0] != '/' || auth.EscapesBase(auth.EscapedPath(r.URL)) {
		return problem.BadPath
	}
	return nil
}

// clean returns the request without what the client must not send. It is r itself if there is nothing of the kind and
// nothing will be written to it.
func (h *Handler) clean(r *http.Request) *http.Request {
	header := h.ds.cleaner.Own(r.Header) // the transport removes the rest
	if h.ds.base == nil {
		header = h.ds.cleaner.Header(r.Header)
	}
	if speaksHTTP(header["Upgrade"]) {
		header = maps.Clone(header)
		delete(header, "Upgrade")
	}
	query := h.ds.cleaner.Query(r.URL.RawQuery)
	if h.ds.base == nil {
		query = auth.LegalQuery(query) // as BaseURL.Join does
	}
	if h.ds.base != nil && len(header) == len(r.Header) && query == r.URL.RawQuery {
		return r
	}
	out := new(http.Request)
	*out = *r
	out.Header = header
	if h.ds.base == nil && len(header) == len(r.Header) {
		out.Header = header.Clone()
	}
	if query != r.URL.RawQuery || h.ds.base == nil {
		u := *r.URL
		u.RawQuery = query
		out.URL = &u
	}
	return out
}

// speaksHTTP reports whether an Upgrade field asks for another version of HTTP, or for TLS below it (RFC 9110 §7.8).
// Through the tunnel that an API would open then, a client could send it requests that nobody has looked at. A server is
// free not to upgrade.
func speaksHTTP(upgrade []string) bool {
	for _, list := range upgrade {
		for protocol := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(protocol), "/")
			switch strings.ToLower(name) {
			case "h2", "h2c", "http", "tls":
				return true
			}
		}
	}
	return false
}

// write puts the exchange's part on a request that goes to a proxy of the user's own.
func (h *Handler) write(out, r *http.Request, x *exchange) error {
	scrubConnection(out.Header)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if h.ds.cleaner.Drops(name) {
			out.Header[name] = nil // Caddy's proxy adds none where it finds nil
		}
	}
	if out.Body != nil && out.Body != http.NoBody {
		out.Trailer = make(http.Header, len(r.Trailer))
		for name := range r.Trailer {
			out.Trailer[name] = nil
		}
		h.ds.cleanTrailer(out.Trailer)
		out.Body = &trailerCleaner{out.Body, func() {
			maps.Copy(out.Trailer, r.Trailer)
			h.ds.cleanTrailer(out.Trailer)
		}}
	}
	x.fields.Apply(out.Header)
	out.URL.RawQuery = x.credential.SetQuery(x.params.Apply(out.URL.RawQuery))
	repl, _ := out.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if err := h.ds.sign(out.Header, repl); err != nil {
		return err
	}
	x.credential.SetHeader(out.Header)
	x.answers(&x.sent, out, x.credential)
	return nil
}

// scrubConnection does what the proxy would do with a client's Connection header field, before there is anything of
// ours for the client to name in it (RFC 9110 §7.6.1).
func scrubConnection(h http.Header) {
	upgrade := httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade")
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "Upgrade" && name != "Te" {
				delete(h, name)
			}
		}
	}
	delete(h, "Connection")
	if upgrade {
		h["Connection"] = []string{"Upgrade"}
	}
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of the server's trace log.
func (h *Handler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("name", h.Name)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ zapcore.ObjectMarshaler     = (*Handler)(nil)
)
