// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
)

// reference is a URL reference (RFC 3986 §4.1) in its parts, byte for byte.
type reference struct {
	// base is the scheme and the authority, nil if there is none. scheme is false where the
	// reference begins with //.
	base   *url.URL
	scheme bool

	path  string
	query string // with its ?
	frag  string // with its #
}

// splitReference returns false for what is no reference by http: with another scheme, with a
// scheme and no host, or with what clients read in different ways.
func splitReference(ref string, scheme string) (parts reference, ok bool) {
	if strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return parts, false // some clients drop it, and so make another path of what was looked at
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
	if path := EscapedPath(r.Sent); path != "" {
		return path
	}
	return "/"
}

// ToCaller returns the reference by which a caller reaches, through the gateway, what ref is the
// reference to in an answer of the API.
//
// A URL of the API below the base URL becomes one of the gateway: an absolute one stays absolute, a
// path stays a path. A reference that is relative to the request itself leads to the same place below
// the gateway's prefix and stays as it is. A path beside the base URL becomes the API's URL: for the
// caller it would lead to somewhere on the gateway. All others stay as they are.
//
// From the query of what leads to the gateway goes what the gateway puts there itself.
func (r *Route) ToCaller(ref string) string {
	p, ok := splitReference(ref, r.Base.scheme)
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
	rest, below := r.Base.below(path)
	// What a browser reads as .. leaves the prefix, however it is escaped.
	if !below || EscapesBase(rest) {
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

// sameFolder reports whether a reference that is relative to the request leads to the same place for
// the caller and for the API. It does not where the caller has asked for /crm and the API was asked
// for /v2/.
func (r *Route) sameFolder() bool {
	rest, _ := r.Base.below(r.sentPath())
	return rest != "" && rest == r.Path
}

// hasParent reports whether a path leads up.
func hasParent(path string) bool {
	return EscapesBase(path) && strings.Contains(unescapeLenient(path, false), "..")
}

// withoutOwn returns a query, which begins with its ?, without what the gateway puts there itself.
func (r *Route) withoutOwn(query string) string {
	if len(query) < 2 {
		return query
	}
	raw := query[1:]
	if r.Credential != nil {
		raw = removeQuery(raw, r.Credential.names)
	}
	if raw = r.Params.TakeOut(raw, r.Base.query); raw == "" {
		return ""
	}
	return "?" + raw
}

// Turn is how a redirect leads back to the URL that the caller has asked for, although the API
// means another one.
type Turn int

const (
	// NoTurn is a redirect to elsewhere, or to the very same URL: then it is the API that says so.
	NoTurn Turn = iota

	// TurnSlash is one from the base URL to the base URL with or without a slash at its end, where
	// the caller has one URL for both.
	TurnSlash

	// TurnAway is one to another scheme or host of the API: https, mostly.
	TurnAway
)

// Turn looks at where a redirect leads. For the caller all the API's schemes and hosts are one, and
// at the root of a site the base URL with and without a slash too. So a redirect from one of them to
// another would be a redirect to itself.
func (r *Route) Turn(ref string) Turn {
	p, ok := splitReference(ref, r.Base.scheme)
	if !ok || !r.Known || r.Sent == nil || p.base != nil && !r.isAPI(p.base, p.path) || p.base == nil && p.path == "" {
		return NoTurn
	}
	path, ok := p.resolve(r.sentPath())
	asked, leads := r.withoutOwn("?"+r.Sent.RawQuery), r.withoutOwn(p.query)
	if !ok || strings.TrimPrefix(asked, "?") != strings.TrimPrefix(leads, "?") {
		return NoTurn
	}
	if path == r.sentPath() {
		if p.base != nil && (p.base.Scheme != r.Base.scheme || !isAt(p.base, r.Names[0])) {
			return TurnAway
		}
		return NoTurn
	}
	rest, below := r.Base.below(path)
	if below && strings.TrimSuffix(path, "/") == strings.TrimSuffix(r.sentPath(), "/") && r.routed(rest) == r.routed(r.Path) {
		return TurnSlash
	}
	return NoTurn
}

// routed is public for what the gateway itself gets.
func (r *Route) routed(rest string) string { return cmp.Or(r.Prefix+rest, "/") }

// Follows reports whether a client sends the same request again at a redirect of this status. All
// turn another method into GET at a 303, and most do so at a 301 and a 302 (RFC 9110 §15.4).
func Follows(method string, status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		return method == http.MethodGet || method == http.MethodHead
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// ToAPI returns the reference by which the API knows what ref, in a request of a client, is the
// reference to. It returns false if that is not below the base URL, in any reading of ref.
//
// A URL of the gateway becomes one of the API, which has the API's scheme too, and a path below the
// route's prefix a path below the base URL. Another path, and a URL of the API, must be below the
// base URL as they stand.
func (r *Route) ToAPI(ref string) (string, bool) {
	if !plainPlace(ref) {
		return "", false
	}
	switch {
	case strings.HasPrefix(ref, "//") || hasScheme(ref):
		return r.absoluteToAPI(ref)
	case ref[0] == '/':
		rest, ok := r.belowPrefix(ref)
		if !ok {
			return ref, isBelow(ref, r.Base.escapedPath) && !readAsHost(ref)
		}
		if ref = rest; ref == "" {
			ref = r.Base.itself()
			return cmp.Or(ref, "/"), !readAsHost(ref)
		}
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

// belowPrefix returns what is behind the route's prefix in a path. A proxy in front that cuts its
// own prefix off may have cut it off in the header field too.
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
	if isAt(u, r.Hosts[0]) || isAt(u, r.Hosts[1]) {
		if rest, ok := r.belowPrefix(path); ok && rest == "" {
			return r.Base.Origin() + r.Base.itself(), true
		} else if ok {
			return r.Base.String() + rest, true
		}
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
