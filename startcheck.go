// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/console"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Some mistakes can be found only when all routes are provisioned, so they are looked for when the
// app starts. If the routes do not tell for sure, nothing is said.

// servers returns the HTTP servers of the configuration.
func (a *App) servers() map[string]*caddyhttp.Server {
	module, err := a.ctx.AppIfConfigured("http")
	if app, ok := module.(*caddyhttp.App); ok && err == nil {
		return app.Servers
	}
	return nil
}

// checkRoutes reports a handler whose requests could never reach its API, and warns of redirect
// URLs that lead to no console.
func (a *App) checkRoutes(methods []*oauth.Method) error {
	for _, server := range a.servers() {
		if err := checkProxies(server, server.Routes); err != nil {
			return err
		}
	}
	for _, m := range methods {
		if m.Interactive() && !a.LeadsToConsole(m.Redirect()) {
			a.logger.Warn("no authenticated_api_console of this configuration is where redirect_url leads, so that people would get an empty page after "+
				"their consent, and no account be connected; put a console there, or correct redirect_url (unless another Caddy has the console, or a "+
				"proxy in front changes the host)", zap.String("datasource", m.Datasource()), zap.String("redirect_url", m.Redirect()))
		}
	}
	return nil
}

// checkProxies reports a handler with a base URL if there are proxies behind it and none of them
// has our transport: the base URL's path and the credential would never be put on a request.
func checkProxies(server *caddyhttp.Server, routes caddyhttp.RouteList) error {
	for i := range routes {
		for n, handler := range routes[i].Handlers {
			if inner := innerRoutes(server, handler); inner != nil {
				if err := checkProxies(server, inner); err != nil {
					return err
				}
			}
			h, ok := handler.(*Handler)
			if !ok || h.ds.base == nil {
				continue
			}
			behind := countProxies(server, append(caddyhttp.RouteList{{Handlers: routes[i].Handlers[n+1:]}}, routes[i+1:]...))
			if behind.ours == 0 && behind.others > 0 {
				return fmt.Errorf(`base_url: the reverse_proxy behind the handler of %q has another transport, to which neither the base URL's path nor the `+
					`credential comes; give it "transport": {"protocol": "authenticated_api"} (with "tls": {} for https), or leave base_url out`, h.ds.name)
			}
		}
	}
	return nil
}

// innerRoutes returns the routes that a handler consists of, or nil.
func innerRoutes(server *caddyhttp.Server, handler caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return h.Routes
	case *caddyhttp.Invoke:
		if route := server.NamedRoutes[h.Name]; route != nil && !slices.ContainsFunc(route.Handlers, isInvoke) {
			return caddyhttp.RouteList{*route}
		}
	}
	return nil
}

// isInvoke reports whether a handler leads to a named route. Such routes may lead to each other,
// so they are followed once.
func isInvoke(handler caddyhttp.MiddlewareHandler) bool {
	_, ok := handler.(*caddyhttp.Invoke)
	return ok
}

type proxyCount struct{ ours, others int }

func countProxies(server *caddyhttp.Server, routes caddyhttp.RouteList) (n proxyCount) {
	for i := range routes {
		for _, handler := range routes[i].Handlers {
			if proxy, ok := handler.(*reverseproxy.Handler); ok {
				if _, ours := proxy.Transport.(*Transport); ours {
					n.ours++
				} else {
					n.others++
				}
			}
			inner := countProxies(server, innerRoutes(server, handler))
			n.ours += inner.ours
			n.others += inner.others
		}
	}
	return n
}

// LeadsToConsole implements console.App: it reports whether a redirect URL leads to a console of
// this configuration, as far as hosts and paths tell. A proxy in front may have stripped the
// beginning of the path.
func (a *App) LeadsToConsole(redirectURL string) bool {
	u, err := url.Parse(redirectURL)
	if err != nil {
		return false
	}
	ctx := context.WithValue(a.ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	for path := u.Path; path != ""; path = withoutFirst(path) {
		probe := (&http.Request{Method: http.MethodGet, Host: u.Host, URL: &url.URL{Path: path}}).WithContext(ctx)
		for _, server := range a.servers() {
			if (&callbackWalk{server: server, probe: probe}).leads(server.Routes) {
				return true
			}
		}
	}
	return false
}

// withoutFirst returns a path without its first segment, "" if the path has one segment only.
func withoutFirst(path string) string {
	i := strings.IndexByte(strings.TrimPrefix(path, "/"), '/')
	if i < 0 {
		return ""
	}
	return path[i+1:]
}

// callbackWalk follows a request through routes. It knows matchers of hosts and of paths, and
// takes all others to match.
type callbackWalk struct {
	server    *caddyhttp.Server
	probe     *http.Request
	rewritten bool // a rewrite has changed the path, so matchers of paths are taken to match
}

func (w *callbackWalk) leads(routes caddyhttp.RouteList) bool {
	for i := range routes {
		if !w.mayMatch(routes[i].MatcherSets) {
			continue
		}
		for _, handler := range routes[i].Handlers {
			switch handler.(type) {
			case *console.Handler:
				return true
			case *rewrite.Rewrite:
				w.rewritten = true
				continue
			}
			inner := &callbackWalk{w.server, w.probe, w.rewritten}
			if inner.leads(innerRoutes(w.server, handler)) {
				return true
			}
		}
	}
	return false
}

func (w *callbackWalk) mayMatch(sets caddyhttp.MatcherSets) bool {
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return !slices.ContainsFunc(set, func(m any) bool {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				return !m.Match(w.probe)
			case *caddyhttp.MatchPath:
				return !w.rewritten && !m.Match(w.probe)
			case caddyhttp.MatchPath:
				return !w.rewritten && !m.Match(w.probe)
			default:
				return false
			}
		})
	})
}
