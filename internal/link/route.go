// SPDX-License-Identifier: Apache-2.0

// Package link translates the URLs in header fields between a caller, who knows the gateway, and
// an API, which knows itself: links and cookies in answers, and places that a request names
// besides its path. docs/links.md has the rules.
package link

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Route is the way of a request through the gateway: which URLs the caller knows, and which URLs
// the API knows. ToCaller translates URLs in answers, ToAPI URLs in requests; each is the inverse
// of the other.
//
// To the caller a URL of the API is Origin, Outer, Prefix and what is below; to the API it is the
// base URL and what is below.
type Route struct {
	// Base is the base URL as the API sees it. KeyInBase says that the credential is at the end of
	// its path.
	Base      *wire.BaseURL
	KeyInBase bool

	// Origin is the scheme and the host by which the caller has called the gateway. It is empty
	// if they are not known.
	Origin string

	// Hosts are the names, as in a Host field, by which the caller may call the gateway. An empty
	// name is none.
	Hosts [2]string

	// Names are what the API may call itself besides the base URL's host: the Host that it was
	// sent, and the address that was dialled.
	Names [2]string

	// Outer is what a proxy in front of the gateway has cut off the path.
	Outer string

	// Prefix is what PublicPrefix has returned, and Known whether it could tell.
	Prefix string
	Known  bool

	// Path is the escaped path of the request below Prefix: empty for the route itself.
	Path string

	// Sent is the URL that the API was asked for, nil in a request. Params, and the credential in
	// a parameter of the name Param, are what the gateway has put into its query, and puts into
	// the query of the next request.
	Sent   *url.URL
	Params *edit.Parameters
	Param  wire.ParamNames
}

// PublicPrefix returns what was cut off the beginning of a request's path on its way to the
// gateway's route: the path prefix of the route as callers see it. original and current are
// escaped paths. It returns false if original does not end in current, since the path was
// rewritten in some other way.
func PublicPrefix(original, current string) (string, bool) {
	prefix, ok := original, true
	if current != "/" || strings.HasSuffix(original, "/") {
		prefix, ok = strings.CutSuffix(original, current)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		// Caddy merges slashes when it cuts a prefix off, so this prefix finds the route too.
		prefix = "/" + prefix
	}
	return prefix, ok
}

// IsItself reports whether a request is for the route itself, and not for a place below it: the
// path behind the prefix, current, is empty. At the root of a site, where no path can be empty, /
// stands for the route.
func IsItself(original, current string) bool {
	return (current == "/" || current == "") && (original == "/" || !strings.HasSuffix(original, "/"))
}

// public returns the path by which a caller reaches what is below the base URL at rest.
func (r *Route) public(rest string) string {
	return cmp.Or(r.Outer+r.Prefix+rest, "/") // a path cannot be empty
}

// isAPI reports whether a URL with a host is a URL of the API. The scheme does not count: an API
// behind a proxy that ends TLS often calls itself http, and an API without such a proxy may call
// itself https.
func (r *Route) isAPI(u *url.URL, path string) bool {
	if u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if wire.IsAt(u, r.Base.Host()) {
		return true
	}
	if !wire.IsAt(u, r.Names[0]) && !wire.IsAt(u, r.Names[1]) {
		return false
	}
	// header_up Host can send the gateway's own name. An API that knows under which prefix it is
	// served writes that prefix too.
	own := wire.IsAt(u, r.Hosts[0]) || wire.IsAt(u, r.Hosts[1])
	return !own || r.Outer+r.Prefix == "" || !isBelow(path, r.Outer+r.Prefix)
}
