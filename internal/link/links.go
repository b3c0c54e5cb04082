// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// reference is a URL reference (RFC 3986 §4.1) in its parts, byte for byte.
type reference struct {
	// base is the scheme and the authority, nil if the reference has no authority. scheme is false
	// if the reference begins with //.
	base   *url.URL
	scheme bool

	path  string
	query string // with its ?
	frag  string // with its #
}

// splitReference splits a reference into its parts. scheme is the scheme of a reference that
// begins with //. It returns false for a reference with a scheme other than http and https or
// without a host, and for a reference that clients read in different ways.
func splitReference(ref string, scheme string) (parts reference, ok bool) {
	if strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		// Some clients drop such a byte, and get another path than the one that was looked at.
		return parts, false
	}
	switch {
	case strings.HasPrefix(ref, "//"):
		parts.base, ref, ok = authorityOf(scheme + ":" + ref)
	case hasScheme(ref):
		_, rest, _ := strings.Cut(ref, ":")
		if !strings.HasPrefix(rest, "//") {
			return parts, false
		}
		parts.scheme = true
		parts.base, ref, ok = authorityOf(ref)
	default:
		ok = true
	}
	if i := strings.IndexByte(ref, '#'); i >= 0 {
		ref, parts.frag = ref[:i], ref[i:]
	}
	if i := strings.IndexByte(ref, '?'); i >= 0 {
		ref, parts.query = ref[:i], ref[i:]
	}
	parts.path = ref
	return parts, ok
}

// absolute reports whether the path of a reference is its whole path.
func (p *reference) absolute() bool { return p.base != nil || strings.HasPrefix(p.path, "/") }

// resolve returns the path of a reference in an answer to the request for sent.
func (p *reference) resolve(sent string) (string, bool) {
	path := p.path
	if !p.absolute() {
		path = sent[:strings.LastIndexByte(sent, '/')+1] + path
	}
	if path == "" {
		path = "/"
	}
	if path[0] != '/' {
		return "", false // a \, say
	}
	if !hasDots(path) {
		return path, true
	}
	u, err := url.Parse("http://x" + path)
	if err != nil {
		return "", false
	}
	return (&url.URL{Scheme: "http", Host: "x"}).ResolveReference(u).EscapedPath(), true
}

// hasDots reports whether a segment of a path is . or .. (RFC 3986 §5.2.4).
func hasDots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// sentPath returns the escaped path of the URL that the API was asked for.
func (r *Route) sentPath() string {
	switch {
	case r.Sent == nil:
		return "/"
	case r.Sent.Opaque != "":
		return r.Sent.Opaque
	}
	if path := wire.EscapedPath(r.Sent); path != "" {
		return path
	}
	return "/"
}

// ToCaller translates a reference in an answer of the API: it returns the reference by which the
// caller reaches the same place through the gateway.
//
// A URL of the API below the base URL becomes a URL of the gateway: an absolute URL stays
// absolute, a path stays a path. A reference that is relative to the request itself leads to the
// same place below the gateway's prefix and stays as it is. A path beside the base URL becomes the
// API's URL, because for the caller the path would lead to somewhere on the gateway. All other
// references stay as they are.
//
// If the result leads to the gateway, its query loses what the gateway puts there itself.
func (r *Route) ToCaller(ref string) string {
	p, ok := splitReference(ref, r.Base.Scheme())
	if !ok || !r.Known || p.base != nil && !r.isAPI(p.base, p.path) {
		return ref
	}
	if p.base == nil && (p.path == "" || !p.absolute() && r.sameFolder() && !hasParent(p.path)) {
		return p.path + r.withoutOwn(p.query) + p.frag
	}
	path, ok := p.resolve(r.sentPath())
	if !ok {
		return ref
	}
	rest, below := r.Base.Below(path)
	// What a browser reads as .. leaves the prefix, however it is escaped.
	if !below || wire.EscapesBase(rest) {
		if p.base == nil {
			return r.Base.Origin() + path + p.query + p.frag
		}
		return ref
	}
	return r.caller(&p, rest, ref)
}

// caller writes a reference for the caller. ref is what it was.
func (r *Route) caller(p *reference, rest, ref string) string {
	path := r.public(rest)
	behind := r.withoutOwn(p.query) + p.frag
	asHost := strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`)
	switch {
	case r.Origin == "" && asHost:
		return ref // it would be read as a host
	case r.Origin == "" || p.base == nil && !asHost:
		return path + behind
	case p.base != nil && !p.scheme:
		_, host, _ := strings.Cut(r.Origin, ":")
		return host + path + behind
	}
	return r.Origin + path + behind
}

// sameFolder reports whether a reference that is relative to the request leads to the same place
// for the caller and for the API. It does not if the caller has asked for /crm and the API was
// asked for /v2/.
func (r *Route) sameFolder() bool {
	rest, _ := r.Base.Below(r.sentPath())
	return rest != "" && rest == r.Path
}

// hasParent reports whether a path leads up.
func hasParent(path string) bool {
	return wire.EscapesBase(path) && strings.Contains(wire.Unescape(path, false), "..")
}

// withoutOwn returns a query, which begins with its ?, without what the gateway puts there itself.
func (r *Route) withoutOwn(query string) string {
	if len(query) < 2 {
		return query
	}
	raw := query[1:]
	raw = r.Params.TakeOut(wire.RemoveQuery(raw, r.Param), r.Base.RawQuery())
	if raw == "" {
		return ""
	}
	return "?" + raw
}

// Turn is how a redirect leads back to the URL that the caller has asked for, although the API
// means another URL.
type Turn int

const (
	// NoTurn is a redirect to elsewhere, or a redirect of the API to the very URL that it was
	// asked for.
	NoTurn Turn = iota

	// TurnSlash is a redirect from the base URL to the base URL with or without a slash at its
	// end, where the caller has one URL for both.
	TurnSlash

	// TurnAway is a redirect to another scheme or host of the API: https, mostly.
	TurnAway
)

// Turn looks at where a redirect leads. The caller has one URL for all the API's schemes and
// hosts, and at the root of a site for the base URL with and without a slash. So a redirect
// between these would be a redirect to itself.
func (r *Route) Turn(ref string) Turn {
	p, ok := splitReference(ref, r.Base.Scheme())
	if !ok || !r.Known || r.Sent == nil || p.base != nil && !r.isAPI(p.base, p.path) || p.base == nil && p.path == "" {
		return NoTurn
	}
	path, ok := p.resolve(r.sentPath())
	asked, leads := r.withoutOwn("?"+r.Sent.RawQuery), r.withoutOwn(p.query)
	if !ok || strings.TrimPrefix(asked, "?") != strings.TrimPrefix(leads, "?") {
		return NoTurn
	}
	if path == r.sentPath() {
		if p.base != nil && (p.base.Scheme != r.Base.Scheme() || !wire.IsAt(p.base, r.Names[0])) {
			return TurnAway
		}
		return NoTurn
	}
	rest, below := r.Base.Below(path)
	if below && strings.TrimSuffix(path, "/") == strings.TrimSuffix(r.sentPath(), "/") && r.routed(rest) == r.routed(r.Path) {
		return TurnSlash
	}
	return NoTurn
}

// routed is public for what the gateway itself gets.
func (r *Route) routed(rest string) string { return cmp.Or(r.Prefix+rest, "/") }

// Follows reports whether a client sends the same request again at a redirect of this status. At a
// 303 all clients turn another method into GET, and at a 301 and a 302 most do (RFC 9110 §15.4).
func Follows(method string, status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		return method == http.MethodGet || method == http.MethodHead
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// ToAPI translates a reference in a request of a client: it returns the reference to the same
// place at the API. It returns false if the place is not below the base URL, in any reading of
// ref.
//
// A URL of the gateway becomes a URL of the API, with the API's scheme, and a path below the
// route's prefix becomes a path below the base URL. Any other path, and a URL of the API, must be
// below the base URL as it stands.
func (r *Route) ToAPI(ref string) (string, bool) {
	if !plainPlace(ref) {
		return "", false
	}
	path, tail := ref, ""
	if i := strings.IndexAny(ref, "?#"); i >= 0 {
		path, tail = ref[:i], ref[i:]
	}
	to, ok := r.pathToAPI(path)
	return to + tail, ok
}

// pathToAPI is ToAPI for a place without a query.
func (r *Route) pathToAPI(ref string) (string, bool) {
	switch {
	case ref == "" || ref[0] == '\\':
		return "", false
	case strings.HasPrefix(ref, "//") || hasScheme(ref):
		return r.absoluteToAPI(ref)
	case ref[0] == '/':
		rest, ok := r.belowPrefix(ref)
		if !ok {
			return ref, isBelow(ref, r.Base.EscapedPath()) && !readAsHost(ref)
		}
		if ref = rest; ref == "" {
			ref = r.Base.WrittenPath()
			return cmp.Or(ref, "/"), !readAsHost(ref)
		}
	default:
		ref = r.Path[:strings.LastIndexByte(r.Path, '/')+1] + ref
		if ref[0] != '/' {
			ref = "/" + ref
		}
	}
	path := r.Base.EscapedPath() + ref
	if path == "" {
		path = "/"
	}
	return path, !readAsHost(path)
}

// belowPrefix returns what is behind the route's prefix in a path. A proxy in front that cuts its
// own prefix off the path may have cut it off the header field too.
func (r *Route) belowPrefix(path string) (rest string, ok bool) {
	if !r.Known {
		return "", false
	}
	for _, prefix := range []string{r.Outer + r.Prefix, r.Prefix} {
		if isBelow(path, prefix) {
			return strings.TrimPrefix(path, prefix), true
		}
	}
	return "", false
}

func (r *Route) absoluteToAPI(ref string) (string, bool) {
	u, path, ok := authorityOf(ref)
	if !ok || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "" {
		return "", false
	}
	if wire.IsAt(u, r.Hosts[0]) || wire.IsAt(u, r.Hosts[1]) {
		if rest, ok := r.belowPrefix(path); ok && rest == "" {
			return r.Base.Origin() + r.Base.WrittenPath(), true
		} else if ok {
			return r.Base.String() + rest, true
		}
	}
	if wire.IsAt(u, r.Base.Host()) && isBelow(path, r.Base.EscapedPath()) {
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
		path = wire.Unescape(path, false)
	}
	return false
}
