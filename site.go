// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/console"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// site is where a handler stands among the routes of its server. Caddy does not tell a handler
// about the routes around it. So the routes are read when they are first asked for, and by then
// all of them are provisioned.
type site struct {
	handler caddyhttp.MiddlewareHandler
	app     *App
	found   atomic.Pointer[place]
}

// place is what the routes of a server say about one handler.
type place struct {
	// named says that every request has passed a matcher of host names before it comes to the
	// handler.
	named bool

	// consoles has, for each console of the server, what the host of a request to it must match.
	consoles []hostRule

	// caught says that an outer subroute deals with the handler's errors.
	caught bool

	// public are the addresses of consoles, as host[:port], by the redirect URLs of the
	// datasources.
	public []string
}

// hostRule is what a host must match on the way through nested routes: one name of each list.
type hostRule [][]caddyhttp.MatchHost

// place returns what the routes of a request's server say.
func (s *site) place(ctx context.Context) *place {
	if p := s.found.Load(); p != nil {
		return p
	}
	p := new(place)
	for _, m := range s.app.OAuth() {
		if u, err := url.Parse(m.Console()); err == nil && u.Host != "" {
			p.public = append(p.public, withoutDefaultPort(u.Host))
		}
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		p.read(s.handler, server)
	}
	s.found.Store(p)
	return p
}

func (p *place) read(handler caddyhttp.MiddlewareHandler, server *caddyhttp.Server) {
	there, open := false, false
	w := &routeWalk{named: server.NamedRoutes}
	w.visit = func(h caddyhttp.MiddlewareHandler, rule hostRule) {
		if _, ok := h.(*console.Handler); ok {
			p.consoles = append(p.consoles, rule)
		} else if h == handler {
			there = true
			p.caught = p.caught || w.caught > 0
			open = open || !slices.ContainsFunc(rule, named)
		}
	}
	w.walk(server.Routes, nil)
	if server.Errors != nil {
		w.walk(server.Errors.Routes, nil)
	}
	p.named = there && !open
}

// catches reports whether an error route takes an error of this request. If none does, Caddy
// answers the error with a status and nothing else.
func (s *site) catches(r *http.Request, err error) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || s.place(r.Context()).caught {
		return true
	}
	if server.Errors == nil {
		return false
	}
	failed := server.Errors.WithError(r, err)
	// The server does the same before it calls its error routes.
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		u := *original.URL
		failed.URL, failed.Method, failed.RequestURI = &u, original.Method, original.RequestURI
	}
	return routesTake(server.Errors.Routes, failed)
}

// routesTake reports whether a handler of routes would get the request. A handler that only holds
// routes does not count.
func routesTake(routes caddyhttp.RouteList, r *http.Request) bool {
	for i := range routes {
		if match, err := routes[i].MatcherSets.AnyMatchWithError(r); err != nil || !match {
			continue
		}
		for _, handler := range routes[i].Handlers {
			if inner, ok := handler.(*caddyhttp.Subroute); !ok || routesTake(inner.Routes, r) {
				return true
			}
		}
	}
	return false
}

// sharesConsole reports whether a console has the origin by which a request came: the server of
// the request serves a console for that host, or a redirect URL says that there is a console.
func (s *site) sharesConsole(ctx context.Context, host string) bool {
	p := s.place(ctx)
	if slices.Contains(p.public, withoutDefaultPort(host)) {
		return true
	}
	if len(p.consoles) == 0 {
		return false
	}
	probe := (&http.Request{Host: host}).WithContext(ctx)
	return slices.ContainsFunc(p.consoles, func(rule hostRule) bool { return rule.matches(probe) })
}

func withoutDefaultPort(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

func (rule hostRule) matches(r *http.Request) bool {
	for _, matchers := range rule {
		if !slices.ContainsFunc(matchers, func(m caddyhttp.MatchHost) bool { return m.Match(r) }) {
			return false
		}
	}
	return true
}

// named reports whether a host that matches is a name of the operator's choice.
func named(matchers []caddyhttp.MatchHost) bool {
	return !slices.ContainsFunc(matchers, func(m caddyhttp.MatchHost) bool { return slices.ContainsFunc([]string(m), anyone) })
}

// anyone reports whether a pattern of hosts fits names in every domain, or what the request itself
// says.
func anyone(pattern string) bool {
	return pattern == "*" || strings.HasSuffix(pattern, ".*") || strings.Contains(pattern, "{http.")
}

// routeWalk visits the handlers of routes with what the host of a request must match to come
// there.
type routeWalk struct {
	named  map[string]*caddyhttp.Route
	depth  int
	caught int // how many of the subroutes around have error routes
	visit  func(caddyhttp.MiddlewareHandler, hostRule)
}

// maxInvocations is how deep named routes that invoke each other are followed.
const maxInvocations = 8

func (w *routeWalk) walk(routes caddyhttp.RouteList, outer hostRule) {
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

// inside visits what a handler holds: Caddy's own handlers that have routes in them.
func (w *routeWalk) inside(handler caddyhttp.MiddlewareHandler, rule hostRule) {
	var responses []caddyhttp.ResponseHandler
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			w.walk(h.Errors.Routes, rule)
			w.caught++
			defer func() { w.caught-- }()
		}
		w.walk(h.Routes, rule)
	case *caddyhttp.Invoke:
		if route := w.named[h.Name]; route != nil && w.depth < maxInvocations {
			w.depth++
			w.walk(caddyhttp.RouteList{*route}, rule)
			w.depth--
		}
	case *reverseproxy.Handler:
		responses = h.HandleResponse
	case *intercept.Intercept:
		responses = h.HandleResponse
	}
	for _, response := range responses {
		w.walk(response.Routes, rule)
	}
}

// hostMatchers returns the host matchers of a route, or nil if it can be passed without one.
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
