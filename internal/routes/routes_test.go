// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/console"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

type (
	handler  = caddyhttp.MiddlewareHandler
	list     = caddyhttp.RouteList
	matchers = caddyhttp.MatcherSet
)

// route is a route whose matchers must all match.
func route(set matchers, handlers ...handler) caddyhttp.Route {
	r := caddyhttp.Route{Handlers: handlers}
	if set != nil {
		r.MatcherSets = caddyhttp.MatcherSets{set}
	}
	return r
}

func hosts(names ...string) matchers {
	m := caddyhttp.MatchHost(names)
	return matchers{&m}
}

func paths(patterns ...string) matchers { return matchers{caddyhttp.MatchPath(patterns)} }

func sub(routes ...caddyhttp.Route) handler { return &caddyhttp.Subroute{Routes: routes} }

// replacing returns a context with the replacer that matchers need.
func replacing(t *testing.T) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
}

// TestPlace: what a server's routes say about a handler, in each way in which routes can be
// nested.
func TestPlace(t *testing.T) {
	own := handler(new(caddyhttp.StaticResponse))
	named := func(at ...caddyhttp.Route) map[string]*caddyhttp.Route {
		return map[string]*caddyhttp.Route{"r": new(route(nil, sub(at...)))}
	}
	caught := &caddyhttp.Subroute{
		Routes: list{route(nil, own)}, Errors: &caddyhttp.HTTPErrorConfig{Routes: list{route(nil, own)}},
	}
	for name, test := range map[string]struct {
		server        *caddyhttp.Server
		named, caught bool
	}{
		"nowhere":               {&caddyhttp.Server{Routes: list{route(hosts("a.example"))}}, false, false},
		"for any host":          {&caddyhttp.Server{Routes: list{route(nil, own)}}, false, false},
		"for a host":            {&caddyhttp.Server{Routes: list{route(hosts("a.example"), own)}}, true, false},
		"for hosts of a domain": {&caddyhttp.Server{Routes: list{route(hosts("*.a.example"), own)}}, true, false},
		"for every host":        {&caddyhttp.Server{Routes: list{route(hosts("*"), own)}}, false, false},
		"for every domain":      {&caddyhttp.Server{Routes: list{route(hosts("api.*"), own)}}, false, false},
		"for what is asked":     {&caddyhttp.Server{Routes: list{route(hosts("{http.request.host}"), own)}}, false, false},
		"for one of two":        {&caddyhttp.Server{Routes: list{route(hosts("a.example", "*"), own)}}, false, false},
		"nested":                {&caddyhttp.Server{Routes: list{route(hosts("a.example"), sub(route(nil, own)))}}, true, false},
		"named within":          {&caddyhttp.Server{Routes: list{route(nil, sub(route(hosts("a.example"), own)))}}, true, false},
		"twice":                 {&caddyhttp.Server{Routes: list{route(hosts("a.example"), own), route(nil, own)}}, false, false},
		"invoked":               {&caddyhttp.Server{Routes: list{route(nil, &caddyhttp.Invoke{Name: "r"})}, NamedRoutes: named(route(hosts("a.example"), own))}, true, false},
		"for an answer":         {&caddyhttp.Server{Routes: list{route(hosts("a.example"), &reverseproxy.Handler{HandleResponse: []caddyhttp.ResponseHandler{{Routes: list{route(nil, own)}}}})}}, true, false},
		"after intercept":       {&caddyhttp.Server{Routes: list{route(nil, &intercept.Intercept{HandleResponse: []caddyhttp.ResponseHandler{{Routes: list{route(nil, own)}}}})}}, false, false},
		"in an error route":     {&caddyhttp.Server{Errors: &caddyhttp.HTTPErrorConfig{Routes: list{route(hosts("a.example"), own)}}}, true, false},
		"caught":                {&caddyhttp.Server{Routes: list{route(hosts("a.example"), caught)}}, true, true},
		"endless": {&caddyhttp.Server{
			Routes:      list{route(hosts("a.example"), &caddyhttp.Invoke{Name: "r"})},
			NamedRoutes: named(route(nil, &caddyhttp.Invoke{Name: "r"}), route(nil, own)),
		}, true, false},
	} {
		if p := PlaceOf(own, test.server); p.Named != test.named || p.Caught != test.caught {
			t.Errorf("%s: named %t, caught %t", name, p.Named, p.Caught)
		}
	}
}

// TestHasConsole: a console is there for the hosts that every matcher on the way to it accepts.
func TestHasConsole(t *testing.T) {
	own := handler(new(caddyhttp.StaticResponse))
	server := &caddyhttp.Server{Routes: list{
		route(hosts("a.example", "*.b.example"), sub(route(hosts("a.example", "x.b.example"), new(console.Handler)))),
		route(nil, own),
	}}
	p := PlaceOf(own, server)
	for host, want := range map[string]bool{
		"a.example": true, "A.example:8443": true, "x.b.example": true, "y.b.example": false, "c.example": false,
	} {
		if got := p.HasConsole(replacing(t), host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
	if PlaceOf(own, &caddyhttp.Server{}).HasConsole(replacing(t), "a.example") {
		t.Error("there is a console without a route")
	}
}

// TestLeadsToConsole: hosts and paths tell, other matchers may match, and a proxy may strip the
// path.
func TestLeadsToConsole(t *testing.T) {
	there := handler(new(console.Handler))
	header := matchers{caddyhttp.MatchHeader{"X": {"y"}}}
	for name, test := range map[string]struct {
		routes list
		want   bool
	}{
		"nowhere":        {list{route(nil, new(caddyhttp.StaticResponse))}, false},
		"there":          {list{route(paths("/connect/*"), there)}, true},
		"another path":   {list{route(paths("/oauth/*"), there)}, false},
		"without prefix": {list{route(paths("/callback"), there)}, true},
		"another host":   {list{route(hosts("b.example"), there)}, false},
		"other matchers": {list{route(header, there)}, true},
		"nested":         {list{route(paths("/connect/*"), sub(route(paths("/connect/c*"), there)))}, true},
		"nested away":    {list{route(paths("/connect/*"), sub(route(paths("/x"), there)))}, false},
		"rewritten":      {list{route(nil, &rewrite.Rewrite{URI: "/x"}, sub(route(paths("/y"), there)))}, true},
		"rewritten within": {list{
			route(nil, sub(route(nil, &rewrite.Rewrite{URI: "/x"}))), route(paths("/y"), there),
		}, false},
	} {
		u := &url.URL{Host: "a.example", Path: "/connect/callback"}
		if got := LeadsToConsole(replacing(t), &caddyhttp.Server{Routes: test.routes}, u); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestTake: a route takes a request if something in it would answer.
func TestTake(t *testing.T) {
	own := handler(new(caddyhttp.StaticResponse))
	r := httptest.NewRequest(http.MethodGet, "http://a.example/", nil).WithContext(replacing(t))
	for name, test := range map[string]struct {
		routes list
		want   bool
	}{
		"none":          {nil, false},
		"empty":         {list{route(nil)}, false},
		"one":           {list{route(nil, own)}, true},
		"another host":  {list{route(hosts("b.example"), own)}, false},
		"nested":        {list{route(nil, sub(route(hosts("a.example"), own)))}, true},
		"nested away":   {list{route(nil, sub(route(hosts("b.example"), own)))}, false},
		"nested, empty": {list{route(nil, sub())}, false},
	} {
		if got := Take(test.routes, r); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
