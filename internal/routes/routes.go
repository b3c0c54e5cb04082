// SPDX-License-Identifier: Apache-2.0

// Package routes reads the routes of a Caddy server: where a handler stands among them, and where
// the consoles are. Caddy tells a handler nothing of the routes around it. All routes must be
// provisioned before they are read.
//
// The package knows no datasource, and decides nothing about a request.
package routes

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// maxInvocations is how deep named routes that invoke each other are followed.
const maxInvocations = 8

// walk visits the handlers of routes, with what the host of a request must match to reach them.
type walk struct {
	named  map[string]*caddyhttp.Route
	depth  int
	caught int // how many of the subroutes around have error routes
	visit  func(caddyhttp.MiddlewareHandler, hostRule)
}

func (w *walk) routes(routes caddyhttp.RouteList, outer hostRule) {
	for i := range routes {
		rule := outer
		if matchers := hostMatchers(routes[i].MatcherSets); matchers != nil {
			rule = append(slices.Clip(outer), matchers)
		}
		for _, handler := range routes[i].Handlers {
			w.visit(handler, rule)
			w.inside(handler, rule)
		}
	}
}

// inside visits the handlers within a handler. Caddy's own handlers can have routes in them.
func (w *walk) inside(handler caddyhttp.MiddlewareHandler, rule hostRule) {
	var responses []caddyhttp.ResponseHandler
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			w.routes(h.Errors.Routes, rule)
			w.caught++
			defer func() { w.caught-- }()
		}
		w.routes(h.Routes, rule)
	case *caddyhttp.Invoke:
		if route := w.named[h.Name]; route != nil && w.depth < maxInvocations {
			w.depth++
			w.routes(caddyhttp.RouteList{*route}, rule)
			w.depth--
		}
	case *reverseproxy.Handler:
		responses = h.HandleResponse
	case *intercept.Intercept:
		responses = h.HandleResponse
	}
	for _, response := range responses {
		w.routes(response.Routes, rule)
	}
}

// hostMatchers returns the host matchers of a route, or nil if a request can pass the route
// without one.
func hostMatchers(sets caddyhttp.MatcherSets) []caddyhttp.MatchHost {
	var matchers []caddyhttp.MatchHost
	for _, set := range sets {
		i := slices.IndexFunc(set, func(m any) bool {
			_, ok := m.(*caddyhttp.MatchHost)
			return ok
		})
		if i < 0 {
			return nil
		}
		matchers = append(matchers, *set[i].(*caddyhttp.MatchHost))
	}
	return matchers
}

// Inner returns the routes that a handler consists of, or nil. Named routes may invoke each
// other, so a named route that invokes another is left out.
func Inner(server *caddyhttp.Server, handler caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return h.Routes
	case *caddyhttp.Invoke:
		route := server.NamedRoutes[h.Name]
		if route != nil && !slices.ContainsFunc(route.Handlers, isInvoke) {
			return caddyhttp.RouteList{*route}
		}
	}
	return nil
}

// isInvoke reports whether a handler leads to a named route.
func isInvoke(handler caddyhttp.MiddlewareHandler) bool {
	_, ok := handler.(*caddyhttp.Invoke)
	return ok
}

// Take reports whether a handler of routes would get the request. A handler that only holds
// routes does not count; those within it do.
func Take(routes caddyhttp.RouteList, r *http.Request) bool {
	for i := range routes {
		if match, err := routes[i].MatcherSets.AnyMatchWithError(r); err != nil || !match {
			continue
		}
		for _, handler := range routes[i].Handlers {
			if inner, ok := handler.(*caddyhttp.Subroute); !ok || Take(inner.Routes, r) {
				return true
			}
		}
	}
	return false
}

// isConsole reports whether a handler is the console, which is known by its module ID.
func isConsole(handler caddyhttp.MiddlewareHandler) bool {
	module, ok := handler.(caddy.Module)
	return ok && module.CaddyModule().ID == "http.handlers.authenticated_api_console"
}
