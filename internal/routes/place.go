// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Place is what the routes of a server say about one handler.
type Place struct {
	// Named says that each request that reaches the handler has passed a matcher of host names
	// that the operator has chosen.
	Named bool

	// Caught says that an outer subroute deals with the handler's errors.
	Caught bool

	// consoles has, for each console of the server, what the host of a request to it must match.
	consoles []hostRule
}

// PlaceOf reads where a handler stands among the routes of a server.
func PlaceOf(handler caddyhttp.MiddlewareHandler, server *caddyhttp.Server) *Place {
	p := new(Place)
	found, unnamed := false, false
	w := &walk{named: server.NamedRoutes}
	w.visit = func(h caddyhttp.MiddlewareHandler, rule hostRule) {
		if isConsole(h) {
			p.consoles = append(p.consoles, rule)
		} else if h == handler {
			found = true
			p.Caught = p.Caught || w.caught > 0
			unnamed = unnamed || !slices.ContainsFunc(rule, named)
		}
	}
	w.routes(server.Routes, nil)
	if server.Errors != nil {
		w.routes(server.Errors.Routes, nil)
	}
	p.Named = found && !unnamed
	return p
}

// HasConsole reports whether the server serves a console for a host. ctx is that of a request to
// the server.
func (p *Place) HasConsole(ctx context.Context, host string) bool {
	if len(p.consoles) == 0 {
		return false
	}
	probe := (&http.Request{Host: host}).WithContext(ctx)
	return slices.ContainsFunc(p.consoles, func(rule hostRule) bool { return rule.matches(probe) })
}

// hostRule is what a host must match on the way through nested routes: one matcher of each list.
type hostRule [][]caddyhttp.MatchHost

func (rule hostRule) matches(r *http.Request) bool {
	for _, matchers := range rule {
		if !slices.ContainsFunc(matchers, func(m caddyhttp.MatchHost) bool { return m.Match(r) }) {
			return false
		}
	}
	return true
}

// named reports whether a host that one of the matchers accepts is a name that the operator has
// chosen.
func named(matchers []caddyhttp.MatchHost) bool {
	return !slices.ContainsFunc(matchers, func(m caddyhttp.MatchHost) bool {
		return slices.ContainsFunc([]string(m), acceptsAnyone)
	})
}

// acceptsAnyone reports whether a pattern of hosts accepts names in every domain, or what the
// request itself says.
func acceptsAnyone(pattern string) bool {
	return pattern == "*" || strings.HasSuffix(pattern, ".*") || strings.Contains(pattern, "{http.")
}
