// SPDX-License-Identifier: Apache-2.0

package clean

import (
	"net/url"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Sent is what is known of the request that an answer is the answer to.
type Sent struct {
	Secrets secret.Lists

	// Hosts are the API's and the gateway's, as in a Host field: the Host that was sent, the
	// address that was dialled, and the Host that came. An empty host is not known.
	Hosts [3]string
}

// IsHost reports whether a URL is on a host of the API or of the gateway. The base URL's host is
// one of them, if base is not nil.
func (s *Sent) IsHost(u *url.URL, base *wire.BaseURL) bool {
	if base != nil && wire.IsAt(u, base.Host()) {
		return true
	}
	for _, host := range s.Hosts {
		if wire.IsAt(u, host) {
			return true
		}
	}
	return false
}

// scrubber removes the credential from the URLs of one answer. In URLs of the API the parameter of
// the credential's name goes, whatever its value: the gateway sends its own. A URL of another host
// may have a parameter of that name for another purpose, so there the parameter goes only if it
// shows a secret.
type scrubber struct {
	cleaner *Responses
	sent    *Sent
}

// nestings is how deep a URL is looked for in the value of a URL's parameter.
const nestings = 3

func (s *scrubber) shows(text string) bool { return s.cleaner.shows(text, s.sent) }

// reference removes the credential from a URL, and from the URLs in its parameters and in its
// fragment: an API that sends callers to log in says there where they came from.
func (s *scrubber) reference(ref string) string {
	if len(s.cleaner.params) == 0 && !s.shows(ref) {
		return ref
	}
	return s.nested(ref, true, nestings)
}

// nested is reference for a URL in another URL. own says whether that other URL is the API's.
func (s *scrubber) nested(ref string, own bool, depth int) string {
	own = s.isOwn(ref, own)
	before, fragment, hasFragment := strings.Cut(ref, "#")
	path, query, hasQuery := strings.Cut(before, "?")
	clean := s.path(path)
	if hasQuery {
		if query = s.query(query, own, depth); query != "" || strings.HasSuffix(before, "?") {
			clean += "?" + query
		}
	}
	if hasFragment {
		clean += "#" + s.query(fragment, own, depth)
	}
	return clean
}

// isOwn reports whether ref is a URL of the API or of the gateway. A relative URL is what the URL
// around it is.
func (s *scrubber) isOwn(ref string, around bool) bool {
	u, err := url.Parse(ref)
	if err != nil {
		return true
	}
	if u.Host == "" && u.Scheme == "" {
		return around
	}
	return s.sent.IsHost(u, nil)
}

// path removes the segments of a path, and the parameters of segments (RFC 3986 §3.3), that show a
// secret.
func (s *scrubber) path(path string) string {
	if !s.shows(path) {
		return path
	}
	start := 0
	if i := strings.Index(path, "//"); i == 0 || i > 0 && path[i-1] == ':' {
		start = len(path)
		if end := strings.IndexByte(path[i+2:], '/'); end >= 0 {
			start = i + 2 + end
		}
	}
	var kept []string
	for segment := range strings.SplitSeq(path[start:], "/") {
		if !s.shows(segment) {
			kept = append(kept, segment)
		} else if segment = wire.MapQuery(segment, func(_, param string) (string, bool) { return param, !s.shows(param) }); segment != "" {
			kept = append(kept, segment)
		}
	}
	clean := strings.Join(kept, "/")
	if clean == "" && strings.HasPrefix(path[start:], "/") {
		clean = "/"
	}
	return path[:start] + clean
}

// query removes the credential from a query, or from a fragment. A question mark begins the query
// of a URL that is in it.
func (s *scrubber) query(query string, own bool, depth int) string {
	if strings.Contains(query, "?") {
		var kept []string
		for part := range strings.SplitSeq(query, "?") {
			if clean := s.query(part, own, depth); clean != "" || part == "" {
				kept = append(kept, clean)
			}
		}
		return strings.Join(kept, "?")
	}
	if (!own || !wire.HasQuery(query, s.cleaner.params)) && !strings.Contains(query, "%") && !s.shows(query) {
		return query
	}
	return wire.MapQuery(query, func(name, param string) (string, bool) {
		if own && s.cleaner.params.Collide(name) {
			return "", false
		}
		return s.parameter(param, own, depth)
	})
}

// parameter removes the credential from the URL that is in a parameter's value. It returns false
// if nothing is left, or if what is left still shows a secret.
func (s *scrubber) parameter(param string, own bool, depth int) (string, bool) {
	key, val, ok := strings.Cut(param, "=")
	if ok && depth > 0 && strings.Contains(val, "%") {
		decoded := wire.Unescape(val, false)
		clean := s.nested(decoded, own, depth-1)
		if clean == "" && decoded != "" {
			return "", false
		}
		if clean != decoded {
			param = key + "=" + wire.EscapeQuery(clean)
		}
	}
	return param, !s.shows(param)
}
