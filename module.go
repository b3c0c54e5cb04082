// SPDX-License-Identifier: Apache-2.0

// Package authenticatedapi gives every caller behind Caddy authenticated access to an HTTP API,
// while no caller ever holds the credential.
//
// It has two halves. The handler decides whether a request may go and with which credential, and
// cleans what the client sent. The transport, below a proxy, puts the credential on a clone of the
// outgoing request, in the last step before it is sent. A credential on the incoming request would
// be worse: a client can strip it (Connection: Authorization), error routes and logs see it, and
// it can neither be signed nor sent again.
//
// A reader may go by the way of a request: module.go, admit.go, exchange.go, handover.go,
// serving.go, send.go, response.go. What a handler does in front of a proxy of the user's own is
// in own_proxy.go.
package authenticatedapi

import (
	"fmt"
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/crossorigin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler gives the requests that pass it access to one HTTP API. It cleans a request of what a
// client has sent in the place of credentials and gets the credential; a transport puts the
// credential on the outgoing request. With a `transport` the handler sends the requests itself.
// Otherwise a `reverse_proxy` with the transport `authenticated_api` follows.
//
// Without a base URL it puts the credential on a copy of the request itself, for whichever proxy
// follows. Then the debug log of that proxy can show the credential, and a refused request cannot
// be sent again unless that proxy has the transport `authenticated_api` too.
//
// Placeholders that are set when a request is refused:
//
// Placeholder | Description
// ------------|---------------
// `{http.authenticated_api.datasource}` | The name of the datasource
// `{http.authenticated_api.error_code}` | Why the request was refused, such as `bad-path`
type Handler struct {
	Datasource

	// `caddy` hands the errors of this handler to Caddy's error routes. Default: they are answered
	// with an `application/problem+json` (RFC 9457).
	Errors string `json:"errors,omitempty"`

	// How requests are sent: the options of the transport `http` of `reverse_proxy`, and those of
	// the transport `authenticated_api`. With it, and be it empty, the handler sends the requests
	// itself. Without it a `reverse_proxy` with the transport `authenticated_api` must follow.
	Transport *Transport `json:"transport,omitempty"`

	// The address of Caddy's admin endpoint, besides the one that the configuration has, for
	// transports that do not say it themselves. In a Caddyfile it is taken from the global option
	// `admin`.
	AdminAddress string `json:"admin_address,omitempty"`

	ds      *datasource
	serving *serving   // nil: a proxy follows
	in      *Catalogue // nil: the handler is in none
	logger  *zap.Logger
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
	if h.logger == nil { // a catalogue has one for all of its handlers
		h.logger = ctx.Logger()
	}
	if h.Errors != "" && h.Errors != "caddy" {
		return fmt.Errorf("errors: %s is not possible; caddy is", value.Quote(h.Errors, "caddy"))
	}
	if h.AdminAddress != "" {
		app, err := appOf(ctx)
		if err != nil {
			return err
		}
		app.admin = h.AdminAddress
	}
	ds, err := h.provision(ctx)
	if err != nil {
		return err
	}
	h.ds = ds
	h.ds.logger = h.logger
	if h.ground == nil {
		h.ds.site.handler = h
	}
	if h.Transport != nil {
		h.serving, err = newServing(ctx, ds, h.Transport, h.in)
	}
	return err
}

// Cleanup implements caddy.CleanerUpper.
func (h *Handler) Cleanup() error {
	if h.serving == nil {
		return nil
	}
	return h.serving.cleanup()
}

// statusClientClosedRequest is what Caddy's proxy writes, and logs, when a client leaves before it
// has an answer.
const statusClientClosedRequest = 499

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	logDatasource(r, h.ds.name)
	w, verdict := h.ds.crossOrigin.Check(w, r)
	if verdict == crossorigin.Answered {
		return nil
	}
	p := problem.CrossOrigin
	if verdict == crossorigin.Passes {
		r, p = h.ds.admit(r)
	}
	if p != nil {
		return h.refuse(w, r, p, nil)
	}
	x, p, err := h.ds.newExchange(r)
	if err != nil && h.ds.mcp {
		x, p, err = h.awaitConsent(r, p, err)
	}
	if err != nil && r.Context().Err() != nil {
		w.WriteHeader(statusClientClosedRequest)
		return nil
	}
	if err != nil {
		// The source has logged what is wrong with a token, once for each attempt to get one.
		return h.refuse(w, r, p, err)
	}
	defer x.release()
	if h.ds.keyInPath {
		if r, p = h.ds.mapPlaces(r, x.credential.Base(h.ds.base)); p != nil {
			return h.refuse(w, r, p, nil)
		}
	}
	if h.ds.base == nil {
		return h.serveOwnProxy(w, r, x, next) //nolint:contextcheck // what it renews is for the next request
	}
	if h.serving != nil {
		next = h.serving
	}
	served, err := h.forward(w, r, h.clean(r), x, next)
	if served && !x.taken {
		if c := h.logger.Check(zapcore.WarnLevel, "a request was answered, and not by the transport authenticated_api"); c != nil {
			c.Write(zap.String("datasource", h.ds.name))
		}
	}
	return err
}

// refuse answers a request that is not sent to the API. err says why there is no credential, if
// that is the reason.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem, err error) error {
	if c := h.logger.Check(zapcore.DebugLevel, "refused a request"); c != nil {
		fields := []zap.Field{zap.String("datasource", h.ds.name), zap.String("code", p.Code())}
		if err != nil {
			fields = append(fields, zap.Error(err))
		}
		c.Write(fields...)
	}
	return h.answer(w, r, p)
}

// forward has the proxy behind the handler send out, which was made of r. It reports whether
// something behind the handler has served the request.
func (h *Handler) forward(
	w http.ResponseWriter, r, out *http.Request, x *exchange, next caddyhttp.Handler,
) (served bool, err error) {
	s, before := handOver(r, x)
	defer s.put(before)
	if err := next.ServeHTTP(w, out); err != nil {
		if !x.taken {
			err = quietProxy(err)
		}
		return false, h.unreachable(w, r, x, err)
	}
	// Without a proxy the client would get an empty 200, which is what happens when the base URL
	// is a {$NAME} that is not set.
	if unhandled, _ := caddyhttp.GetVar(r.Context(), "unhandled").(bool); unhandled && !x.taken {
		h.logger.Error("no proxy stands behind this handler; give a base URL, or put a reverse_proxy there",
			zap.String("datasource", h.ds.name))
		return false, h.answer(w, r, problem.NoProxy)
	}
	return true, nil
}

// clean returns the request without what the client must not send to a proxy, such as headers by
// which the proxy would choose another upstream. The transport removes the rest. It is r itself if
// there is nothing of the kind.
func (h *Handler) clean(r *http.Request) *http.Request {
	header := withoutUpgrade(h.ds.cleaner.WithoutOwn(r.Header))
	query := h.ds.cleaner.Query(r.URL.RawQuery)
	if len(header) == len(r.Header) && query == r.URL.RawQuery {
		return r
	}
	out := new(http.Request)
	*out = *r
	out.Header = header
	if query != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = query
		out.URL = &u
	}
	return out
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of the server's trace
// log.
func (h *Handler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("name", h.Name)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ zapcore.ObjectMarshaler     = (*Handler)(nil)
)
