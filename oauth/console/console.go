// SPDX-License-Identifier: Apache-2.0

// Package console is the page on which people connect accounts to OAuth datasources in a browser,
// and the callback to which providers send them back (RFC 6749 §4.1).
//
// It stores nothing on the server. A flow that is under way is in a sealed cookie of the browser,
// one cookie for each flow. So a flow survives reloads and may end on another node, and nobody can
// fill the memory or a storage with flows that never end.
//
// It knows nothing about tokens, records and how a connection is renewed: an [oauth.Method] does
// all of that. One file is one concept: route.go says what a request is for, access.go who may do
// what, page.go, action.go, ticket.go and callback.go answer the four kinds of requests, cookie.go
// holds the flows, health.go answers whether all is well, render.go writes the answers, and
// messages.go has their words. The page is made of cards: card.go has what stands on one, judge.go
// what a state means, filter.go which cards are shown, notice.go what was done a moment ago.
package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(new(Handler)) }

const defaultUser = "{http.auth.user.id}"

// Handler is the console: a page that shows the OAuth datasources of this configuration and lets
// people connect, refresh and disconnect accounts, and the callback that providers send a browser
// back to. It has no JavaScript and loads nothing from elsewhere.
//
// Nobody gets in without a user. Put a handler that knows the users in front, such as
// `authentication`, and mount both where the `redirect_url` of the datasources points to: for
// `https://gateway.example/connect/callback` that is `/connect/*`. Only two paths below that
// need no user: `health` answers 200 or 503, and nothing else; `client.json` is the Client ID
// Metadata Document, for providers that `discover` finds.
type Handler struct {
	// Who is asking: a placeholder that an authentication handler in front has set. Where it is
	// empty or not known the request has no user, and is refused. Default: `{http.auth.user.id}`.
	User string `json:"user,omitempty"`

	// The users who may connect, refresh and disconnect the connections that all callers share.
	// They are compared byte by byte with the user. Default: nobody. A datasource with a
	// connection for each user needs no operators: everybody may connect, refresh and disconnect
	// their own connection, and nobody may do so with another user's.
	Operators []string `json:"operators,omitempty"`

	operators map[string]bool
	logger    *zap.Logger
	health    health
	ambiguous atomic.Pointer[string] // the key_id that was warned of last

	// These come from the app. They are functions because tests have datasources without a
	// provider.
	datasources func() []datasource
	leads       func(redirectURL string) bool
	ring        func() (*seal.Ring, error)
	openTicket  func(*seal.Ring, string) (*oauth.Ticket, error)
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.authenticated_api_console",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if h.User == "" {
		h.User = defaultUser
	}
	h.operators = make(map[string]bool)
	for _, operator := range h.Operators {
		user, err := value.Resolve("operators", operator)
		if err != nil {
			return err
		}
		if user == "" {
			return errors.New("operators: an empty user is nobody")
		}
		h.operators[user] = true
	}
	h.warnOfUser()
	module, err := ctx.App("authenticated_api")
	if err != nil {
		return fmt.Errorf("loading the authenticated_api app: %w", err)
	}
	app, ok := module.(App)
	if !ok {
		return fmt.Errorf("%T does not know the OAuth datasources", module)
	}
	h.datasources = func() []datasource { return adapt(app) }
	h.leads = app.LeadsToConsole
	h.ring = app.Ring
	h.openTicket = oauth.OpenTicket
	return nil
}

// warnOfUser logs a warning if clients choose a part of the user themselves.
func (h *Handler) warnOfUser() {
	names := placeholders(h.User)
	i := slices.IndexFunc(names, value.ClientChosen)
	if i < 0 {
		return
	}
	h.logger.Warn("user is made from what a client sends: whoever can reach this route chooses who they are, "+
		"unless a proxy in front sets it for everybody", zap.String("placeholder", value.ShowPlaceholder(names[i])))
}

// Validate implements caddy.Validator.
func (h *Handler) Validate() error {
	if len(placeholders(h.User)) == 0 {
		return errors.New("user: takes a placeholder, such as " + defaultUser + "; a fixed text would make everybody that user")
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	v := h.visit(w, r)
	v.keepOutOfLogs()
	if v.route.kind == routeHealth && isRead(r) {
		return v.health()
	}
	if v.route.kind == routeKeys && isRead(r) {
		return publish(v)
	}
	if v.route.kind == routeDocument && isRead(r) {
		return v.document()
	}
	if early(r) {
		return v.refuse(&messageEarly)
	}
	if v.route.kind == routeCallback {
		return v.callback()
	}
	// A ticket stands for the user in two requests: for the page with its one button, and for the
	// button itself.
	if v.route.kind == routePage && r.URL.Query().Has("ticket") && isRead(r) {
		return v.ticketPage()
	}
	if v.route.kind == routeAction && v.route.action == actionConnect && r.Method == http.MethodPost {
		answered, err := v.connectByTicket()
		if answered {
			return err
		}
	}
	if v.user == "" {
		return v.refuse(&messageNobody)
	}
	switch {
	case v.route.kind == routePage && isRead(r):
		return v.page()
	case v.route.kind == routePage || v.route.kind == routeHealth || v.route.kind == routeKeys || v.route.kind == routeDocument:
		return v.methodNotAllowed("GET, HEAD")
	case v.route.kind == routeAction && r.Method == http.MethodPost:
		return v.act()
	case v.route.kind == routeAction && v.route.action == actionDisconnect && isRead(r):
		v.route.action = actionConfirm
		return v.act()
	case v.route.kind == routeAction && v.route.action == actionDisconnect:
		return v.methodNotAllowed("GET, HEAD, POST")
	case v.route.kind == routeAction:
		return v.methodNotAllowed("POST")
	default:
		return v.refuse(&messageNotFound)
	}
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// early reports whether a request is TLS early data, which an attacker can send again (RFC 8470
// §5.2). Caddy accepts 0-RTT over HTTP/3 by default. A proxy in front marks early data with a
// header field (§5.1).
func early(r *http.Request) bool {
	return r.TLS != nil && !r.TLS.HandshakeComplete || strings.TrimSpace(r.Header.Get("Early-Data")) == "1"
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
