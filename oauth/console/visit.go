// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"path"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// visit is one request to the console: who asks, and for what.
type visit struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	repl    *caddy.Replacer
	logger  *zap.Logger
	cookies flowCookies

	user        string // "" for nobody
	address     address
	datasources []datasource // those that this user's site has
	route       route
	about       datasource // whose card the answer leads back to, if the user may see it; or nil
}

func (h *Handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{
		h: h, w: w, r: r,
		cookies:     flowCookies{w, r},
		address:     addressOf(r),
		datasources: ofHost(h.datasources(), r.Host),
	}
	v.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if v.repl == nil {
		v.repl = caddy.NewEmptyReplacer()
	}
	// If a placeholder is empty or not known there is no user, whatever the rest of the text says.
	if user, err := v.repl.ReplaceOrErr(h.User, true, true); err == nil {
		v.user = user
	}
	v.logger = h.logger.With(zap.String("user", v.user))
	v.route = v.address.route(v.datasources)
	return v
}

// keepOutOfLogs leaves a request with a code, a state or a ticket in its URL out of the access
// logs (RFC 9700 §4.2.4). That includes callbacks that no datasource has, requests whose referrer
// is a page with a ticket, and a form of a key that somebody sends in the address.
func (v *visit) keepOutOfLogs() {
	const ticket = "ticket="
	if v.route.kind == routeCallback || v.route.action == actionKey && v.r.URL.RawQuery != "" || path.Base(v.address.sent) == "callback" || v.r.URL.Query().Has("ticket") ||
		strings.Contains(v.r.URL.RawQuery, ticket) || strings.Contains(v.r.Referer(), ticket) {
		caddyhttp.SetVar(v.r.Context(), caddyhttp.LogSkipVar, true)
	}
}
