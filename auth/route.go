// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// Route is the way of a request through the gateway: which URLs the caller knows, and which the
// API. ToCaller translates those in answers, ToAPI those in requests, and each is the other one
// the other way round.
//
// To the caller a URL of the API is Origin, Outer, Prefix and what is below; to the API it is the
// base URL and what is below. docs/links.md has what becomes of each form of a URL.
type Route struct {
	Base *BaseURL

	// Origin is the scheme and the host by which the caller has called the gateway. It is empty
	// if they are not known.
	Origin string

	// Hosts are the names, as in a Host field, by which the caller may call the gateway. An empty
	// one is none.
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

	// Sent is the URL that the API was asked for, nil in a request. Params and Credential are
	// what the gateway has put into its query, and puts into the query of the next request.
	Sent       *url.URL
	Params     *Parameters
	Credential *Credential
}

// PublicPrefix returns what was cut off the beginning of a request's path on its way to the
// gateway's route: the path prefix of the route as callers see it. original and current are escaped
// paths. It returns false if the one does not end in the other, since the path was rewritten in
// some other way.
func PublicPrefix(original, current string) (string, bool) {
	prefix, ok := original, true
	if current != "/" || strings.HasSuffix(original, "/") {
		prefix, ok = strings.CutSuffix(original, current)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix = "/" + prefix // Caddy merges slashes when it cuts a prefix off, and so finds the route all the same
	}
	return prefix, ok
}

// IsItself reports whether a request is one for the route itself, and not for a place below it:
// the path behind the prefix, current, is empty. At the root of a site, where no path can be
// empty, it is / that means the route.
func IsItself(original, current string) bool {
	return (current == "/" || current == "") && (original == "/" || !strings.HasSuffix(original, "/"))
}

// public returns the path by which a caller reaches what is below the base URL at rest.
func (r *Route) public(rest string) string {
	return cmp.Or(r.Outer+r.Prefix+rest, "/") // a path cannot be empty
}

// isAPI reports whether a URL with a host is one of the API. An API behind a proxy that ends TLS
// often calls itself http, and one in front of which there is none now may call itself https: by
// either scheme it is the API.
func (r *Route) isAPI(u *url.URL, path string) bool {
	if u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if isAt(u, r.Base.Host()) {
		return true
	}
	if !isAt(u, r.Names[0]) && !isAt(u, r.Names[1]) {
		return false
	}
	// header_up Host can send the gateway's own name. An API that has been told under which prefix
	// it is served writes that prefix too.
	own := isAt(u, r.Hosts[0]) || isAt(u, r.Hosts[1])
	return !own || r.Outer+r.Prefix == "" || !isBelow(path, r.Outer+r.Prefix)
}

// isAt reports whether a URL is on the host that a Host field names.
func isAt(u *url.URL, host string) bool {
	if host == "" || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, host) || plainHost(u.Host, u.Scheme) == plainHost(host, u.Scheme)
}

// plainHost returns the one form of all that mean the same host: in lower case, without the dot at
// the end of a full name and without the port of the scheme, in ASCII (RFC 5891), an IPv6 address in
// the form of RFC 5952.
func plainHost(host, scheme string) string {
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host, port = host[:i], host[i+1:]
	}
	if port == defaultPort(scheme) {
		port = ""
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.String()
	} else if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	return net.JoinHostPort(host, port)
}

// below returns what is behind the base URL's path in an escaped path, which may escape it in
// another way.
func (b *BaseURL) below(path string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, b.escapedPath); ok {
		return rest, rest == "" || rest[0] == '/'
	}
	for segment := range strings.SplitSeq(b.escapedPath[1:], "/") {
		if path == "" || path[0] != '/' {
			return "", false
		}
		end := len(path)
		if i := strings.IndexByte(path[1:], '/'); i >= 0 {
			end = 1 + i
		}
		if unescapeLenient(path[1:end], false) != unescapeLenient(segment, false) {
			return "", false
		}
		path = path[end:]
	}
	return path, true
}

// itself returns the base URL's path as it is written.
func (b *BaseURL) itself() string {
	if b.slash && b.escapedPath != "" {
		return b.escapedPath + "/"
	}
	return b.escapedPath
}
