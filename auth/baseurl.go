// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// BaseURL is the address of an API.
type BaseURL struct {
	scheme string
	host   string // without port and brackets
	field  string // the Host header field
	port   string // "" for the scheme's own

	// path and its escaped form, without slashes at the end; query is raw.
	path, escapedPath, query string

	// slash says that the path is written with a slash at its end.
	slash bool
}

// ParseBaseURL reads http(s)://host[:port][/path][?query].
func ParseBaseURL(s string) (*BaseURL, error) {
	const option = "base URL"
	if err := value.CheckLine(option, s); err != nil {
		return nil, err
	}
	if strings.ContainsAny(s, "{}") {
		return nil, fmt.Errorf("%s: no placeholder is possible here, since the scheme decides on TLS while the "+
			"configuration is read; write the URL out, or use {$NAME}, which the Caddyfile replaces before it is read", option)
	}
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return nil, fmt.Errorf("%s: it must begin with https:// or http://", option)
	}
	if place, _, _ := strings.Cut(s, "?"); strings.ContainsAny(place, "<>") { // which no URL has (RFC 3986 §2)
		return nil, fmt.Errorf("%s: an example's <…> stands in it; put your own value there", option)
	}
	u, err := url.Parse(s)
	if err != nil {
		// The error of net/url quotes the URL, with a password perhaps.
		return nil, fmt.Errorf("%s: it is not a valid URL; it looks like https://host:port/path?query", option)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("%s: a user name or password cannot stand in it; use auth basic <username> <password>", option)
	case u.Fragment != "" || strings.Contains(s, "#"):
		return nil, fmt.Errorf("%s: a fragment (#…) is never sent to a server; remove it", option)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s: the host is missing", option)
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !validPort(u.Port()):
		return nil, fmt.Errorf("%s: the port is not a number from 1 to 65535", option)
	case !validHost(u.Hostname()):
		return nil, fmt.Errorf("%s: the host (%s) is no host name (an international one is written in ASCII: xn--…)", option, value.Shape(u.Hostname()))
	case strings.Contains(u.RawQuery, " "):
		return nil, fmt.Errorf("%s: the query has a blank in it; write %%20", option)
	case EscapesBase(u.EscapedPath()) || slices.Contains(strings.Split(u.Path, "/"), "."):
		// An API's own links do not spell such a path, so none of them would be found to be below it.
		return nil, fmt.Errorf("%s: the path has a . or .. segment in it; write the path that it leads to", option)
	}
	b := &BaseURL{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port(), query: u.RawQuery}
	if b.port == defaultPort(b.scheme) {
		b.port = ""
	}
	switch {
	case b.port != "":
		b.field = net.JoinHostPort(b.host, b.port)
	case strings.Contains(b.host, ":"):
		b.field = "[" + b.host + "]"
	default:
		b.field = b.host
	}
	b.escapedPath = strings.TrimRight(u.EscapedPath(), "/")
	b.slash = len(u.EscapedPath()) > len(b.escapedPath)
	if b.path, err = url.PathUnescape(b.escapedPath); err != nil {
		return nil, errors.New(option + ": the path has an invalid percent escape in it")
	}
	return b, nil
}

// validHost reports whether a name can stand in DNS, and whether the name of a datasource can be made of it.
func validHost(host string) bool {
	named := false
	for i := range len(host) {
		c := host[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`|,;*", c) >= 0 {
			return false
		}
		named = named || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	return named
}

func validPort(port string) bool {
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n >= 1 && n <= 65535
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// TLS reports whether the API is reached by https.
func (b *BaseURL) TLS() bool { return b.scheme == "https" }

// Hostname is the host without port and brackets.
func (b *BaseURL) Hostname() string { return b.host }

// Host is the value of the Host header field.
func (b *BaseURL) Host() string { return b.field }

// Origin is the scheme and the host, as a proxy's upstream is written.
func (b *BaseURL) Origin() string { return b.scheme + "://" + b.Host() }

// Name is what a datasource is called that was given no name: the host, other characters than letters and digits as -,
// and a port that is not the scheme's own.
func (b *BaseURL) Name() string {
	name := b.host
	if b.port != "" {
		name += "-" + b.port
	}
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, name)
	name = strings.TrimLeft(name, "-")
	return name[:min(len(name), 63)]
}

// String is the URL without its query, which may hold a key.
func (b *BaseURL) String() string { return b.Origin() + b.escapedPath }

// Join returns the URL of a request below b. Of u only the path and the query count. u itself is returned if nothing
// needs to change.
//
// The escapes of a path stay as they were sent. net/url cannot hold a few paths that are not valid URLs (a raw |, say)
// but that clients send and servers read; those go into Opaque, which net/http writes as it stands.
func (b *BaseURL) Join(u *url.URL) *url.URL {
	query := joinQuery(b.query, LegalQuery(u.RawQuery))
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
		// A raw blank, which HTTP/2 can carry, would end the target on the request line of HTTP/1.1 (RFC 9112 §3).
		escaped = strings.ReplaceAll(escaped, " ", "%20")
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

// JoinItself returns the URL of a request for b itself, of which only the query of u counts: b as it
// is written. turned turns that round: it has a slash at its end if b is written without one, and
// none if b is written with one.
//
// An endpoint (GraphQL, MCP, a webhook) and what is below a directory are told apart by that slash,
// so nothing but the base URL can say which of the two the route stands for.
func (b *BaseURL) JoinItself(u *url.URL, turned bool) *url.URL {
	itself := *u
	itself.Path, itself.RawPath, itself.Opaque = "", "", ""
	if b.slash != turned {
		itself.Path = "/"
	}
	return b.Join(&itself)
}

// HasPath reports whether the URL leads to a place below its host.
func (b *BaseURL) HasPath() bool { return b.escapedPath != "" }

// LegalQuery escapes what would end the request line of HTTP/1.1, which an HTTP/2 client can send in a query, and a #,
// behind which some servers do not read on.
func LegalQuery(query string) string {
	if !strings.ContainsAny(query, " \t#") {
		return query
	}
	return strings.NewReplacer(" ", "%20", "\t", "%09", "#", "%23").Replace(query)
}

// EscapedPath returns the path of u as the client escaped it. Unlike url.URL.EscapedPath it does not decode the whole
// path because one byte of it should have been escaped.
func EscapedPath(u *url.URL) string {
	if needsOpaque(u) {
		return u.RawPath
	}
	return u.EscapedPath()
}

// needsOpaque reports whether u.EscapedPath would change the bytes of the path: a hint that net/url holds to be
// invalid, and so ignores, but that does decode to the path.
func needsOpaque(u *url.URL) bool {
	if u.RawPath == "" || u.EscapedPath() == u.RawPath {
		return false
	}
	decoded, err := url.PathUnescape(u.RawPath)
	return err == nil && decoded == u.Path
}

// escapeIllegal escapes the bytes that cannot stand in a path and leaves all others alone.
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
