// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/routes"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// What can be known only when all routes are provisioned is checked when the app starts. A check
// that cannot be sure says nothing.

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
		if m.Connectable() && !a.LeadsToConsole(m.Redirect()) {
			a.logger.Warn("no authenticated_api_console of this configuration is where redirect_url "+
				"leads, so that people would get an empty page after their consent, and no account be "+
				"connected; put a console there, or correct redirect_url (unless another Caddy has the "+
				"console, or a proxy in front changes the host)",
				zap.String("datasource", m.Datasource()), zap.String("redirect_url", m.Redirect()))
		}
	}
	return nil
}

// checkProxies reports a handler with a base URL that has proxies behind it, but none with our
// transport. Its requests would get neither the base URL's path nor the credential.
func checkProxies(server *caddyhttp.Server, list caddyhttp.RouteList) error {
	for i := range list {
		for n, handler := range list[i].Handlers {
			if inner := routes.Inner(server, handler); inner != nil {
				if err := checkProxies(server, inner); err != nil {
					return err
				}
			}
			h, ok := handler.(*Handler)
			if !ok || h.ds.base == nil || h.serving != nil {
				continue
			}
			rest := caddyhttp.RouteList{{Handlers: list[i].Handlers[n+1:]}}
			behind := countProxies(server, slices.Concat(rest, list[i+1:]))
			if behind.ours == 0 && behind.others > 0 {
				return fmt.Errorf(`base_url: the reverse_proxy behind the handler of %q has another transport, `+
					`to which neither the base URL's path nor the credential comes; give it "transport": `+
					`{"protocol": "authenticated_api"} (with "tls": {} for https), or leave base_url out`, h.ds.name)
			}
		}
	}
	return nil
}

type proxyCount struct{ ours, others int }

// countProxies counts the proxies in routes: those with our transport, and all others.
func countProxies(server *caddyhttp.Server, list caddyhttp.RouteList) (n proxyCount) {
	for i := range list {
		for _, handler := range list[i].Handlers {
			if proxy, ok := handler.(*reverseproxy.Handler); ok {
				if _, ours := proxy.Transport.(*Transport); ours {
					n.ours++
				} else {
					n.others++
				}
			}
			inner := countProxies(server, routes.Inner(server, handler))
			n.ours += inner.ours
			n.others += inner.others
		}
	}
	return n
}

// LeadsToConsole implements console.App.
func (a *App) LeadsToConsole(redirectURL string) bool {
	u, err := url.Parse(redirectURL)
	if err != nil {
		return false
	}
	ctx := context.WithValue(a.ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	for _, server := range a.servers() {
		if routes.LeadsToConsole(ctx, server, u) {
			return true
		}
	}
	return false
}
