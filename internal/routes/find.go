// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Way is the way of a request through the routes of a server, as far as it can be told without
// running handlers that might send something.
type Way struct {
	// Handlers are the handler that was looked for and what follows it in its route. It is empty
	// if the request does not get there.
	Handlers []caddyhttp.MiddlewareHandler

	// AnsweredBy is the ID of the module that answers the request before.
	AnsweredBy string

	// Skipped are the IDs of the modules on the way that were taken to let the request pass.
	Skipped []string

	named  map[string]*caddyhttp.Route
	groups map[string]bool
	depth  int
	is     func(caddyhttp.MiddlewareHandler) bool
	w      http.ResponseWriter
}

// ends are the modules that answer each request that they get.
var ends = map[caddy.ModuleID]bool{
	"http.handlers.static_response": true, "http.handlers.file_server": true, "http.handlers.error": true,
	"http.handlers.reverse_proxy": true, "http.handlers.acme_server": true, "http.handlers.metrics": true,
	"http.handlers.authenticated_api_console": true,
}

// Find follows a request to a handler. It changes the request as rewrites on the way do. The
// request must be prepared for the server (caddyhttp.PrepareRequest).
func Find(
	server *caddyhttp.Server, w http.ResponseWriter, r *http.Request, is func(caddyhttp.MiddlewareHandler) bool,
) *Way {
	way := &Way{named: server.NamedRoutes, groups: make(map[string]bool), is: is, w: w}
	way.routes(server.Routes, r)
	return way
}

// routes follows a request through routes, and reports whether it has come to an end.
func (way *Way) routes(list caddyhttp.RouteList, r *http.Request) bool {
	for i := range list {
		route := &list[i]
		if way.groups[route.Group] {
			continue
		}
		if match, err := route.MatcherSets.AnyMatchWithError(r); err != nil || !match {
			continue
		}
		if route.Group != "" {
			way.groups[route.Group] = true
		}
		if way.handlers(route.Handlers, r) || route.Terminal {
			return true
		}
	}
	return false
}

func (way *Way) handlers(list []caddyhttp.MiddlewareHandler, r *http.Request) bool {
	for i, handler := range list {
		if way.is(handler) {
			way.Handlers = list[i:]
			return true
		}
		if way.pass(handler, r) {
			return true
		}
	}
	return false
}

// pass does to a request what a handler does, if that sends nothing, and reports whether the way
// ends there.
func (way *Way) pass(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return way.routes(h.Routes, r)
	case *caddyhttp.Invoke:
		route := way.named[h.Name]
		if route == nil || way.depth >= maxInvocations {
			return false
		}
		way.depth++
		defer func() { way.depth-- }()
		return way.routes(caddyhttp.RouteList{*route}, r)
	case *rewrite.Rewrite:
		repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		h.Rewrite(r, repl)
		return false
	case *caddyhttp.VarsMiddleware:
		nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
		_ = h.ServeHTTP(way.w, r, nothing)
		return false
	case *headers.Handler:
		if h.Request != nil {
			h.Request.ApplyToRequest(r)
		}
		return false
	}
	module, ok := handler.(caddy.Module)
	if !ok {
		return false
	}
	id := module.CaddyModule().ID
	// A proxy with handle_response is forward_auth, as a rule: it asks, and lets the request pass.
	if proxy, ok := handler.(*reverseproxy.Handler); ends[id] && (!ok || len(proxy.HandleResponse) == 0) {
		way.AnsweredBy = string(id)
		return true
	}
	way.Skipped = append(way.Skipped, string(id))
	return false
}
