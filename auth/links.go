// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/url"
	"strings"
)

// PublicPrefix returns what was cut off the beginning of a request's path on its way to the gateway's route: the path
// prefix of the route as callers see it. original and current are escaped paths. It returns false if the one does not
// end in the other, since the path was rewritten in some other way.
func PublicPrefix(original, current string) (string, bool) {
	if current == "/" && !strings.HasSuffix(original, "/") {
		return original, true
	}
	return strings.CutSuffix(original, current)
}

// RootReference returns a reference that is relative to the place of target as one that begins with a slash.
func RootReference(ref string, target *url.URL) string {
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" || u.Path[0] == '/' {
		return ref
	}
	path := EscapedPath(target)
	return path[:strings.LastIndexByte(path, '/')+1] + ref
}

// MapLink returns the reference by which a caller reaches, through the gateway, what ref is the reference to in a
// response of the API: a URL below the base URL becomes a path below prefix. target is the URL of the request that the
// response is to, prefix has no slash at its end.
//
// A relative reference to a place beside the base URL becomes absolute: for the caller it would lead to somewhere on the
// gateway.
func (b *BaseURL) MapLink(ref string, target *url.URL, prefix string) string {
	u, err := url.Parse(ref)
	if err != nil || u.Opaque != "" || u.User != nil {
		return ref
	}
	relative := u.Host == "" && u.Scheme == ""
	if relative && (u.Path == "" || u.Path[0] != '/' && !strings.Contains(u.Path, "..")) {
		return ref // relative to the request itself: it leads to the same place below the gateway's prefix
	}
	at := url.URL{Scheme: b.scheme, Host: b.Host(), Path: target.Path, RawPath: target.RawPath}
	if target.Opaque != "" {
		at.Path, at.RawPath = "/", ""
	}
	abs := at.ResolveReference(u)
	if !b.sameAuthority(abs) {
		return ref
	}
	rest, below := strings.CutPrefix(abs.EscapedPath(), b.escapedPath)
	// What a browser reads as .. leaves the prefix, however it is escaped.
	if !below || rest != "" && rest[0] != '/' || EscapesBase(rest) {
		if relative {
			return abs.String()
		}
		return ref
	}
	var sb strings.Builder
	sb.WriteString(prefix)
	sb.WriteString(rest)
	if sb.Len() == 0 {
		sb.WriteByte('/') // the base URL itself
	}
	if strings.HasPrefix(sb.String(), "//") || strings.HasPrefix(sb.String(), `/\`) {
		return ref // it would be read as a host
	}
	if abs.RawQuery != "" || abs.ForceQuery {
		sb.WriteString("?" + abs.RawQuery)
	}
	if abs.Fragment != "" {
		sb.WriteString("#" + abs.EscapedFragment())
	}
	return sb.String()
}

// sameAuthority reports whether u is on the API's host. An API behind a proxy that ends TLS often calls itself http:
// with the default port of either scheme that is the API too.
func (b *BaseURL) sameAuthority(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && isAt(u, b.Host())
}

// isAt reports whether a URL is on the host that a Host field names. The port of its scheme may
// be left out on both sides.
func isAt(u *url.URL, host string) bool {
	port := ":" + defaultPort(u.Scheme)
	return host != "" && strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
}

// Route is the way of a request through the gateway.
type Route struct {
	Base *BaseURL

	// Hosts are the names, as in a Host field, by which the caller may call the gateway. An empty
	// one is none.
	Hosts [2]string

	// Prefix is what PublicPrefix has returned, and Known whether it could tell.
	Prefix string
	Known  bool

	// Path is the escaped path of the request below Prefix.
	Path string
}

// ToAPI is MapLink the other way round: it returns the reference by which the API knows what ref,
// in a request of a client, is the reference to. It returns false if that is not below the base
// URL, in any reading of ref.
//
// A URL of the gateway becomes one of the API, which has the API's scheme too, and a path below
// the route's prefix a path below the base URL. Another path, and a URL of the API, must be below
// the base URL as they stand.
func (r *Route) ToAPI(ref string) (string, bool) {
	if !plainPlace(ref) {
		return "", false
	}
	switch {
	case strings.HasPrefix(ref, "//") || hasScheme(ref):
		return r.absoluteToAPI(ref)
	case ref[0] == '/':
		rest, ok := strings.CutPrefix(ref, r.Prefix)
		if !r.Known || !ok || !isBelow(rest, "") {
			return ref, isBelow(ref, r.Base.escapedPath) && !readAsHost(ref)
		}
		ref = rest
	case strings.IndexByte("?#\\", ref[0]) >= 0:
		return "", false
	default:
		ref = r.Path[:strings.LastIndexByte(r.Path, '/')+1] + ref
		if ref[0] != '/' {
			ref = "/" + ref
		}
	}
	path := r.Base.escapedPath + ref
	if path == "" {
		path = "/"
	}
	return path, !readAsHost(path)
}

func (r *Route) absoluteToAPI(ref string) (string, bool) {
	u, path, ok := authorityOf(ref)
	if !ok || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "" {
		return "", false
	}
	if r.Known && (isAt(u, r.Hosts[0]) || isAt(u, r.Hosts[1])) && isBelow(path, r.Prefix) {
		return r.Base.String() + strings.TrimPrefix(path, r.Prefix), true
	}
	if isAt(u, r.Base.Host()) && isBelow(path, r.Base.escapedPath) {
		return r.Base.Origin() + path, true
	}
	return "", false
}

// readAsHost reports whether a server that decodes a path before it parses it would find a host
// at its beginning.
func readAsHost(path string) bool {
	for range 3 {
		if len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
			return true
		}
		path = unescapeLenient(path, false)
	}
	return false
}
