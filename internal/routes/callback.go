// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// LeadsToConsole reports whether a URL leads to a console of the server, as far as hosts and
// paths tell. A proxy in front may have stripped the beginning of the path. ctx has a replacer
// for the matchers.
func LeadsToConsole(ctx context.Context, server *caddyhttp.Server, u *url.URL) bool {
	for path := u.Path; path != ""; path = withoutFirst(path) {
		probe := &http.Request{Method: http.MethodGet, Host: u.Host, URL: &url.URL{Path: path}}
		w := &callbackWalk{server: server, probe: probe.WithContext(ctx)}
		if w.leads(server.Routes) {
			return true
		}
	}
	return false
}

// withoutFirst returns a path without its first segment, and "" for a path of one segment.
func withoutFirst(path string) string {
	i := strings.IndexByte(strings.TrimPrefix(path, "/"), '/')
	if i < 0 {
		return ""
	}
	return path[i+1:]
}

// callbackWalk follows a request through routes. It asks matchers of hosts and of paths, and
// takes it that all others match.
type callbackWalk struct {
	server    *caddyhttp.Server
	probe     *http.Request
	rewritten bool // a handler has changed the path, so each matcher of paths may match
}

func (w *callbackWalk) leads(routes caddyhttp.RouteList) bool {
	for i := range routes {
		if !w.mayMatch(routes[i].MatcherSets) {
			continue
		}
		for _, handler := range routes[i].Handlers {
			if isConsole(handler) {
				return true
			}
			if _, ok := handler.(*rewrite.Rewrite); ok {
				w.rewritten = true
				continue
			}
			inner := &callbackWalk{w.server, w.probe, w.rewritten}
			if inner.leads(Inner(w.server, handler)) {
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
