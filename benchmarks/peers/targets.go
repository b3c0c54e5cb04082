// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// target is something that is measured: a proxy with one configuration.
type target struct {
	name string
	base string // the target whose figures are the unit of its ratios
	run  func(ctx context.Context, e *environment) (*running, error)
}

// running is a target that runs.
type running struct {
	*process
	addr string
	vars string             // where Go's runtime tells its figures, or ""
	next func(i int) []byte // the next request of the connection with an index
	each [][]byte           // a request of each user, asked once before each turn; nil: of no users
}

// greet has each user ask once. A gateway reads a connection that nobody has used for 20 seconds
// from storage again, and between two turns of a target is a minute.
func (t *running) greet(ctx context.Context) error {
	i := -1
	return count(ctx, t.addr, len(t.each), func(int) []byte {
		i++
		return t.each[i]
	})
}

// errLacking says that a target cannot be measured here.
var errLacking = errors.New("not on this machine")

// environment is what the targets of a run share.
type environment struct {
	*settings
	dir      string // for files, removed afterwards
	upstream string // its address
	api      *process
	variable string // of the environment of each Caddy, as NAME=value, or ""
}

// The unit of all ratios, and what serves people's own accounts without this module.
const (
	headerUp  = "Caddy, header_up"
	basicAuth = "Caddy, basic_auth and header_up"
)

const (
	ownWay   = ""                      // the handler that serves by itself
	proxyWay = "proxy reverse_proxy\n" // Caddy's proxy serves
)

// targets returns all targets, in the order in which they are measured and printed.
func targets() []target {
	list := []target{
		{"the upstream, asked directly", headerUp, direct},
		{headerUp, headerUp, inCaddy("/bearer/items", headerUpBlock(""))},
		{"the same again", headerUp, inCaddy("/bearer/items", headerUpBlock(""))},
		{"Caddy, header_up, 512 idle connections", headerUp, inCaddy("/bearer/items", headerUpBlock("transport http {\nkeepalive_idle_conns_per_host 512\n}"))},
		{"Caddy, plain", headerUp, inCaddy("/plain/items", func(e *environment) string { return "reverse_proxy " + e.upstream })},
		{"Caddy, uri query", headerUp, inCaddy("/query/items", func(e *environment) string {
			return "uri query +" + parameter + " " + token + "\nreverse_proxy " + e.upstream
		})},
	}
	for _, way := range []struct{ name, option string }{{"ours", ownWay}, {"ours on Caddy's proxy", proxyWay}} {
		for _, c := range configurations() {
			list = append(list, target{way.name + ", " + c.name, headerUp, inCaddy(c.path, c.block(way.option))})
		}
	}
	return append(list,
		target{"ours, the first of a catalogue of 10,000", headerUp, inCaddy("/api00000/items", func(e *environment) string { return catalogueOf(e, 10_000) })},
		target{"ours, the last of a catalogue of 10,000", headerUp, inCaddy("/api09999/items", func(e *environment) string { return catalogueOf(e, 10_000) })},
		target{basicAuth, basicAuth, usersOfCaddy},
		target{"ours, a connection for each user", basicAuth, usersOfOurs(ownWay)},
		target{"ours on Caddy's proxy, a connection for each user", basicAuth, usersOfOurs(proxyWay)},
		target{"net/http/httputil alone", headerUp, httputilAlone},
		target{"nginx, proxy_set_header", headerUp, nginx},
		target{"nginx, Lua signs each request", headerUp, nginxLua},
		target{"HAProxy, set-header", headerUp, haproxy},
		target{"Traefik, headers", headerUp, traefik},
		target{"KrakenD, client credentials", headerUp, krakend},
	)
}

// configuration is one use of this module.
type configuration struct{ name, path, options string }

func configurations() []configuration {
	oauth := "auth oauth2 client_credentials {\ntoken_url http://UPSTREAM/token/86400\nclient_id " + clientID + "\nclient_secret \"" + clientSecret + "\"\n}\n"
	var fields strings.Builder
	for i := range 8 {
		fmt.Fprintf(&fields, "header X-Field-%d value\n", i)
	}
	return []configuration{
		{"bearer", "/bearer/items", "auth bearer " + token},
		{"basic", "/basic/items", "auth basic " + basicUser + " " + basicPassword},
		{"key in a header field", "/key/items", "auth api_key X-Api-Key " + token},
		{"key in the query", "/query/items", "auth api_key " + parameter + " " + token + " {\nin query\n}"},
		{"bearer, 8 fields and 2 parameters", "/fields/items", "auth bearer " + token + "\n" + fields.String() + "query a 1\nquery b 2"},
		{"OAuth", "/oauth/items", oauth},
		{"OAuth, a signature used again", "/signed/items", oauth + "signature " + signingSecret},
		{"OAuth, a signature for each request", "/signed/items", oauth + "signature " + signingSecret + " {\nclaim sub {http.request.uri.path}\n}"},
	}
}

func (c configuration) block(way string) func(e *environment) string {
	return func(e *environment) string {
		return "authenticated_api http://" + e.upstream + " {\n" + way + strings.ReplaceAll(c.options, "UPSTREAM", e.upstream) + "\n}"
	}
}

func headerUpBlock(more string) func(e *environment) string {
	return func(e *environment) string {
		return "reverse_proxy " + e.upstream + " {\nheader_up Authorization \"Bearer " + token + "\"\n" + more + "\n}"
	}
}

// inCaddy returns a target that is a Caddy with the block of one site.
func inCaddy(path string, block func(e *environment) string) func(context.Context, *environment) (*running, error) {
	return func(ctx context.Context, e *environment) (*running, error) {
		p, addr, vars, err := startCaddy(ctx, e, "Caddy", block(e))
		return &running{process: p, addr: addr, vars: vars, next: always(get(path))}, err
	}
}

// always returns one request for all connections.
func always(request []byte) func(int) []byte { return func(int) []byte { return request } }

// direct asks the upstream itself, which has the credential on the request then.
func direct(_ context.Context, e *environment) (*running, error) {
	return &running{process: e.api, addr: e.upstream, next: always(get("/bearer/items", "Authorization: Bearer "+token))}, nil
}

// startAPI runs the upstream.
func (e *environment) startAPI(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if e.upstream, err = free(ctx); err != nil {
		return err
	}
	e.api, err = start(ctx, "upstream", e.upstream, e.dir, self, "upstream", e.upstream)
	return err
}
