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
	if !strings.EqualFold(u.Hostname(), b.host) || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	port := u.Port()
	if port == defaultPort(u.Scheme) {
		port = ""
	}
	return port == b.port
}
