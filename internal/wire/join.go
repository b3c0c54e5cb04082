// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/url"
	"strings"
)

// Join returns the URL of a request below b. Only the path and the query of u count. Join returns
// u itself if nothing needs to change.
//
// The escapes of a path stay as they were sent. net/url cannot hold a few paths that are not valid
// URLs (a raw |, say) but that clients send and servers read. Such a path goes into Opaque, which
// net/http writes as it stands.
func (b *BaseURL) Join(u *url.URL) *url.URL {
	query := JoinQuery(b.query, LegalQuery(u.RawQuery))
	literal := needsOpaque(u)
	if b.path == "" && query == u.RawQuery && !literal && strings.HasPrefix(u.Path, "/") && u.Opaque == "" {
		return u
	}
	joined := new(url.URL)
	*joined = *u
	joined.Opaque, joined.RawQuery = "", query

	path, escaped := u.Path, u.RawPath
	if !literal && escaped != "" {
		escaped = u.EscapedPath() // RawPath, unless that is no hint to the path
	}
	if path != "" && path[0] != '/' || path == "" && b.path == "" {
		path = "/" + path
		if escaped != "" {
			escaped = "/" + escaped
		}
	}
	if literal {
		// A raw blank, which HTTP/2 can carry, would end the target on the request line of
		// HTTP/1.1 (RFC 9112 §3). A target has no fragment: some servers stop reading at a raw #,
		// and would miss the query that is set here.
		escaped = strings.NewReplacer(" ", "%20", "#", "%23").Replace(escaped)
		if target := b.escapedPath + escaped; !strings.HasPrefix(target, "//") {
			joined.Opaque = target
			return joined
		}
		// RequestURI would read a leading // in Opaque as an authority.
		escaped = escapeIllegal(escaped)
	}
	joined.Path = b.path + path
	switch {
	case escaped != "":
		joined.RawPath = b.escapedPath + escaped
	case (&url.URL{Path: b.path}).EscapedPath() != b.escapedPath:
		joined.RawPath = b.escapedPath + (&url.URL{Path: path}).EscapedPath()
	}
	return joined
}

// JoinItself returns the URL of a request for b itself: b as it is written, with the query of u.
// With turned it is the other way round: the URL has a slash at its end if b is written without
// one, and no slash if b is written with one.
//
// A slash at the end tells an endpoint (GraphQL, MCP, a webhook) from what is below a directory.
// So only the base URL can say which of the two the route stands for.
func (b *BaseURL) JoinItself(u *url.URL, turned bool) *url.URL {
	itself := *u
	itself.Path, itself.RawPath, itself.Opaque = "", "", ""
	if b.slash != turned {
		itself.Path = "/"
	}
	return b.Join(&itself)
}

// EscapedPath returns the path of u as the client escaped it. Unlike url.URL.EscapedPath it does
// not decode the whole path because one byte of it should have been escaped.
func EscapedPath(u *url.URL) string {
	if needsOpaque(u) {
		return u.RawPath
	}
	return u.EscapedPath()
}

// needsOpaque reports whether u.EscapedPath would change the bytes of the path: net/url ignores a
// RawPath that it holds to be invalid, even if it does decode to the path.
func needsOpaque(u *url.URL) bool {
	if u.RawPath == "" || u.EscapedPath() == u.RawPath {
		return false
	}
	decoded, err := url.PathUnescape(u.RawPath)
	return err == nil && decoded == u.Path
}

// escapeIllegal escapes the bytes that cannot stand in a path and leaves all other bytes alone.
func escapeIllegal(escaped string) string {
	const upperhex = "0123456789ABCDEF"
	var sb strings.Builder
	for i := range len(escaped) {
		c := escaped[i]
		switch {
		case c > ' ' && c < 0x7f && !strings.ContainsRune("\"<>\\^`{|}#?", rune(c)):
			sb.WriteByte(c)
		default:
			sb.Write([]byte{'%', upperhex[c>>4], upperhex[c&15]})
		}
	}
	return sb.String()
}
