// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
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
	// No URL has < or > in it (RFC 3986 §2).
	if place, _, _ := strings.Cut(s, "?"); strings.ContainsAny(place, "<>") {
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
		// An API's own links do not spell such a path, so no link would be found to be below it.
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

// validHost reports whether a name can stand in DNS, and whether the name of a datasource can be
// made of it.
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
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// Under returns the URL of what is below b at a path, which is escaped and begins with a slash.
func (b *BaseURL) Under(escaped string) *BaseURL {
	below := *b
	below.slash = b.slash && b.escapedPath != "" // otherwise the slash is that of the root
	below.escapedPath += escaped
	below.path += Unescape(escaped, false)
	return &below
}

// TLS reports whether the API is reached by https.
func (b *BaseURL) TLS() bool { return b.scheme == "https" }

// Scheme is http or https.
func (b *BaseURL) Scheme() string { return b.scheme }

// Hostname is the host without port and brackets.
func (b *BaseURL) Hostname() string { return b.host }

// Port is the port, also if it is the scheme's own.
func (b *BaseURL) Port() string {
	if b.port == "" {
		return defaultPort(b.scheme)
	}
	return b.port
}

// PortOfOther reports whether the port is the one that the other scheme has by default.
func (b *BaseURL) PortOfOther() bool {
	return b.scheme == "http" && b.port == "443" || b.scheme == "https" && b.port == "80"
}

// Host is the value of the Host header field.
func (b *BaseURL) Host() string { return b.field }

// Origin is the scheme and the host, as a proxy's upstream is written.
func (b *BaseURL) Origin() string { return b.scheme + "://" + b.Host() }

// HasPath reports whether the URL leads to a place below its host.
func (b *BaseURL) HasPath() bool { return b.escapedPath != "" }

// Path is the path without escapes and without slashes at its end.
func (b *BaseURL) Path() string { return b.path }

// EscapedPath is the path with its escapes, without slashes at its end.
func (b *BaseURL) EscapedPath() string { return b.escapedPath }

// WrittenPath is the escaped path as the URL was written, with its slash at the end.
func (b *BaseURL) WrittenPath() string {
	if b.slash && b.escapedPath != "" {
		return b.escapedPath + "/"
	}
	return b.escapedPath
}

// RawQuery is the query, still escaped.
func (b *BaseURL) RawQuery() string { return b.query }

// String is the URL without its query, which may hold a key.
func (b *BaseURL) String() string { return b.Origin() + b.escapedPath }

// Name is what a datasource is called that was given no name: the host, with - for every character
// that is no letter and no digit, and a port that is not the scheme's own.
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

// Below returns the rest of an escaped path behind the base URL's path. It returns false if the
// path is not below the base URL. The path may have other escapes than the base URL's.
func (b *BaseURL) Below(path string) (rest string, ok bool) {
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
		if Unescape(path[1:end], false) != Unescape(segment, false) {
			return "", false
		}
		path = path[end:]
	}
	return path, true
}
