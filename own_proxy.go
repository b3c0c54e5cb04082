// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A handler without a base URL stands in front of a proxy of the user's own, which knows where the
// API is. That proxy has one of two kinds of transport:
//
//   - the transport authenticated_api, with the datasource's name. It is known when the
//     configuration loads (datasource.served), and sends what the exchange says, as it does with a
//     base URL;
//   - any other transport. Then the handler writes everything on a copy of the request itself
//     (exchange.written), and cleans the response on its way to the client. If the proxy turns out
//     to have the transport authenticated_api without a name, that transport writes again only
//     what may be written twice.
//
// With a base URL none of this applies.

// serveOwnProxy is ServeHTTP for a handler without a base URL.
func (h *Handler) serveOwnProxy(w http.ResponseWriter, r *http.Request, x *exchange, next caddyhttp.Handler) error {
	out := h.cleanCopy(r)
	if x.written = !h.ds.served.Load(); x.written {
		if err := h.write(out, r, x); err != nil {
			return h.answer(w, r, h.ds.unsigned(h.logger, err))
		}
	}
	peer.GuardLog() // the proxy may have another transport than ours
	cleaning := h.newCleaningWriter(w, r, x)
	defer cleaning.finish() //nolint:contextcheck // what it renews is for the next request
	_, err := h.forward(cleaning, r, out, x, next)
	return err
}

// cleanCopy returns a copy of the request, which may be written to, without what the client must
// not send.
func (h *Handler) cleanCopy(r *http.Request) *http.Request {
	out := new(http.Request)
	*out = *r
	out.Header = withoutUpgrade(h.ds.cleaner.Header(r.Header))
	if len(out.Header) == len(r.Header) {
		out.Header = r.Header.Clone()
	}
	u := *r.URL
	u.RawQuery = wire.LegalQuery(h.ds.cleaner.Query(r.URL.RawQuery)) // as BaseURL.Join does
	out.URL = &u
	return out
}

// write puts the credential and the edits on a request that goes to a proxy with another
// transport.
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
		h.ds.limits.cleanTrailer(h.ds.cleaner, out.Trailer)
		out.Body = &trailerCleaner{out.Body, func() {
			maps.Copy(out.Trailer, r.Trailer)
			h.ds.limits.cleanTrailer(h.ds.cleaner, out.Trailer)
		}}
	}
	x.fields.Apply(out.Header)
	out.URL.RawQuery = x.credential.SetQuery(x.params.Apply(out.URL.RawQuery))
	repl, _ := out.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if err := h.ds.signing.signClaims(out.Header, repl); err != nil {
		return err
	}
	if h.ds.signing.ofRequests() {
		return errForeignTransport
	}
	x.credential.SetHeader(out.Header)
	x.answers(&x.sent, out, x.credential, h.ds.signing.signed(out.Header))
	return nil
}
