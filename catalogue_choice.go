// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// choose returns the API of a catalogue that a request is for, or nil. If its path says so, the
// name is cut off the path: the request that handle_path would leave of it.
func (c *Catalogue) choose(r *http.Request) *API {
	if c.Name != "" {
		repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		return c.APIs[repl.ReplaceKnown(c.Name, "")]
	}
	escaped := wire.EscapedPath(r.URL)
	name, rest := cutSegment(escaped)
	if strings.IndexByte(name, '%') >= 0 {
		// It is decoded once, as by all matchers of paths in front. What has / in it then is no name.
		decoded, err := url.PathUnescape(name)
		if err != nil {
			return nil
		}
		name = decoded
	}
	api := c.APIs[name]
	if api == nil || !setPath(r, rest) {
		return nil
	}
	return api
}

// cutSegment returns the first segment of an escaped path, and what follows it, from the slash on.
// Slashes in front of the segment count as one, as they do to Caddy's matchers of paths.
func cutSegment(escaped string) (segment, rest string) {
	escaped = strings.TrimLeft(escaped, "/")
	if i := strings.IndexByte(escaped, '/'); i >= 0 {
		return escaped[:i], escaped[i:]
	}
	return escaped, "/" // the API itself, see link.IsItself
}

// setPath gives a request another escaped path, and reports whether it is one.
func setPath(r *http.Request, escaped string) bool {
	if r.URL.RawPath == "" && strings.IndexByte(escaped, '%') < 0 {
		r.URL.Path = escaped
	} else {
		path, err := url.PathUnescape(escaped)
		if err != nil {
			return false
		}
		r.URL.Path, r.URL.RawPath = path, escaped
	}
	r.RequestURI = r.URL.RequestURI()
	return true
}
