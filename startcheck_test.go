// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestRedirectLeadsNowhere: a redirect_url where no console is, as far as hosts and paths of
// routes tell, is told of when Caddy starts.
func TestRedirectLeadsNowhere(t *testing.T) {
	const console = "authenticated_api_console {\noperators ann\n}\n"
	for name, tt := range map[string]struct {
		site     string // without the API
		redirect string // default: http://localhost/connect/callback
		warned   bool
	}{
		"no console":              {warned: true},
		"there":                   {site: "handle_path /connect/* {\n" + console + "}"},
		"there, by a matcher":     {site: "authenticated_api_console /connect/* {\noperators ann\n}"},
		"there, in a route":       {site: "route /connect/* {\n" + console + "}"},
		"there, nested":           {site: "handle /connect/* {\nhandle_path /connect/* {\n" + console + "}\n}"},
		"there, after a strip":    {site: "handle_path /con* {\nhandle /nect/* {\n" + console + "}\n}"},
		"there, one of two paths": {site: "@c path /x/* /connect/*\nhandle @c {\n" + console + "}"},
		"there, other matchers":   {site: "@c {\npath /connect/*\nmethod GET POST\nnot header X-No *\n}\nhandle @c {\n" + console + "}"},
		"there, named route":      {site: "handle /connect/* {\ninvoke console\n}"},
		"elsewhere, named route":  {site: "handle /oauth/* {\ninvoke console\n}", warned: true},
		"of the whole host":       {site: console},
		"elsewhere":               {site: "handle_path /oauth/* {\n" + console + "}", warned: true},
		"elsewhere, by a matcher": {site: "authenticated_api_console /oauth/* {\noperators ann\n}", warned: true},
		"the page only":           {site: "handle /connect {\n" + console + "}", warned: true},
		"nested elsewhere":        {site: "handle /connect/* {\nhandle /connect/page/* {\n" + console + "}\n}", warned: true},
		"another host":            {site: "handle_path /connect/* {\n" + console + "}", redirect: "http://gw.example/connect/callback", warned: true},
		"a matcher of hosts":      {site: "@h host gw.example\nhandle @h {\n" + console + "}", warned: true},
		"a stripped prefix":       {site: "handle_path /connect/* {\n" + console + "}", redirect: "http://localhost/gw/connect/callback"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.redirect == "" {
				tt.redirect = "http://localhost/connect/callback"
			}
			warned := false
			for _, line := range logged(t, "", "respond /x y\n}\n&(console) {\n"+console+"}\nhttp://localhost:PORT {\n"+tt.site+"\nauthenticated_api /api/* https://a.example {\nname crm\nauth oauth2 authorization_code {\n"+
				"token_url https://login.example.com/token\nauthorization_url https://login.example.com/authorize\nclient_id gateway\nclient_auth none\n"+
				"redirect_url "+tt.redirect+"\n}\n}") {
				if strings.Contains(line["msg"].(string), "where redirect_url leads") {
					warned = warned || line["datasource"] == "crm" && line["redirect_url"] == tt.redirect
				}
			}
			if warned != tt.warned {
				t.Errorf("warned: %t", warned)
			}
		})
	}
}

// TestForeignProxy: a configuration in JSON whose handler has a base URL, and whose proxy has
// another transport, would send requests without the base URL's path and without a credential. It
// is an error.
func TestForeignProxy(t *testing.T) {
	const (
		handler = `{"handler":"authenticated_api","name":"crm","base_url":"http://127.0.0.1:1/v2"}`
		alone   = `{"handler":"authenticated_api","name":"crm"}`
		plain   = `{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}`
		ours    = `{"handler":"reverse_proxy","transport":{"protocol":"authenticated_api"},"upstreams":[{"dial":"127.0.0.1:1"}]}`
		headers = `{"handler":"headers"}`
	)
	route := func(handlers ...string) string { return `{"handle":[` + strings.Join(handlers, ",") + `]}` }
	subroute := func(routes ...string) string {
		return `{"handler":"subroute","routes":[` + strings.Join(routes, ",") + `]}`
	}
	for name, tt := range map[string]struct {
		routes []string
		ok     bool
	}{
		"plain":                 {[]string{route(handler, plain)}, false},
		"plain, later":          {[]string{route(handler, headers, plain)}, false},
		"plain, next route":     {[]string{route(handler), route(plain)}, false},
		"plain, in a subroute":  {[]string{route(handler, subroute(route(plain)))}, false},
		"all in a subroute":     {[]string{route(subroute(route(handler, plain)))}, false},
		"by an invoked route":   {[]string{route(handler, `{"handler":"invoke","name":"plain"}`)}, false},
		"ours":                  {[]string{route(handler, ours)}, true},
		"ours, in a subroute":   {[]string{route(handler, subroute(route(headers), route(ours)))}, true},
		"plain, then ours":      {[]string{route(handler, subroute(`{"match":[{"path":["/x"]}],"handle":[`+plain+`]}`, route(ours)))}, true},
		"ours, then plain":      {[]string{route(handler, ours), route(plain)}, true},
		"plain in front":        {[]string{route(plain), route(handler, ours)}, true},
		"plain in another list": {[]string{route(subroute(route(handler, ours))), route(plain)}, true},
		"no base URL":           {[]string{route(alone, plain)}, true},
		"no proxy":              {[]string{route(handler)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"srv0":{"listen":["` + rig.Free(t) + `"],"automatic_https":{"disable":true},"named_routes":{"plain":` +
				route(plain) + `},"routes":[` + strings.Join(tt.routes, ",") + `]}}}}}`
			if !json.Valid([]byte(config)) {
				t.Fatal(config)
			}
			err := caddy.Load([]byte(config), true)
			if err == nil {
				_ = caddy.Stop()
			}
			if tt.ok && err != nil || !tt.ok && (err == nil || !strings.Contains(err.Error(), `base_url: the reverse_proxy behind the handler of "crm"`)) {
				t.Errorf("%v", err)
			}
		})
	}
}
