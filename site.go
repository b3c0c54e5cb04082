// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/routes"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// site is where a datasource is served.
type site struct {
	*ground

	sandbox bool // whether documents are confined where a console has their origin
}

// ground is where a handler stands among the routes of its server. It reads the routes when it is
// first asked: by then all of them are provisioned. The datasources of a catalogue stand on one.
type ground struct {
	handler caddyhttp.MiddlewareHandler
	app     *App
	many    bool // the handler has many datasources
	found   atomic.Pointer[place]
}

// place is what the routes and the datasources of a configuration say about one handler.
type place struct {
	routes.Place

	// public are the addresses of consoles, as host[:port], by the redirect URLs of the
	// datasources.
	public map[string]bool
}

// place returns what the routes of a request's server say.
func (s *ground) place(ctx context.Context) *place {
	if p := s.found.Load(); p != nil {
		return p
	}
	p := &place{public: make(map[string]bool)}
	for _, set := range s.app.Connections() {
		if u, err := url.Parse(set.Console); err == nil && u.Host != "" {
			p.public[withoutDefaultPort(u.Host)] = true
		}
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		p.Place = *routes.PlaceOf(s.handler, server)
	}
	s.found.Store(p)
	return p
}

// catches reports whether an error route takes an error of this request. Otherwise Caddy would
// answer the error with a status and nothing else.
func (s *ground) catches(r *http.Request, err error) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || s.place(r.Context()).Caught {
		return true
	}
	if server.Errors == nil {
		return false
	}
	failed := server.Errors.WithError(r, err)
	// The server restores the request as it came before its error routes get it.
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		u := *original.URL
		failed.URL, failed.Method, failed.RequestURI = &u, original.Method, original.RequestURI
	}
	return routes.Take(server.Errors.Routes, failed)
}

// sharesConsole reports whether a console has the origin that a caller has called: the server
// serves a console for that host, or a redirect URL says that there is one.
func (s *ground) sharesConsole(ctx context.Context, host string) bool {
	p := s.place(ctx)
	return p.public[withoutDefaultPort(host)] || p.HasConsole(ctx, host)
}

func withoutDefaultPort(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}
