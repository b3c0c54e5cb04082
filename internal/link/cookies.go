// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// MapCookies maps the cookies in h, in place. A cookie that pass_response_header lets through is
// for the places for which the API has set it, as far as these are behind this route.
func (r *Route) MapCookies(h http.Header) {
	cookies := h["Set-Cookie"]
	if len(cookies) == 0 || !r.Known {
		return
	}
	if cookies = r.cookies(cookies); len(cookies) > 0 {
		h["Set-Cookie"] = cookies
	} else {
		delete(h, "Set-Cookie")
	}
}

// cookies returns Set-Cookie fields as they are for the caller. A cookie for a place beside the
// base URL is dropped, since no request that comes this way may carry it.
func (r *Route) cookies(fields []string) []string {
	var kept []string
	for _, field := range fields {
		if field, ok := r.cookie(field); ok {
			kept = append(kept, field)
		}
	}
	return kept
}

// cookie maps the Path of a cookie and drops its Domain. Without a Domain it is a cookie of the
// host that the caller has called (RFC 6265 §5.2.3, §5.3).
func (r *Route) cookie(field string) (string, bool) {
	name, _, _ := strings.Cut(field, "=")
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-") {
		attributes, _, _ := splitCookie(field, true)
		// Browsers take such a cookie for the whole host or not at all.
		return strings.Join(attributes, ";"), true
	}
	attributes, place, at := splitCookie(field, false)
	if !strings.HasPrefix(place, "/") {
		if at >= 0 {
			attributes = append(attributes[:at], attributes[at+1:]...) // clients ignore it
			at = -1
		}
		place = defaultPlace(r.sentPath())
		if _, below := r.Base.Below(place); below && r.sameFolder() {
			// The caller's client makes the same of its own URL.
			return strings.Join(attributes, ";"), true
		}
	}
	path, ok := r.cookiePath(place)
	if !ok {
		return "", false
	}
	if at < 0 {
		return strings.Join(attributes, ";") + "; Path=" + path, true
	}
	key, val, _ := strings.Cut(attributes[at], "=")
	if trimmed := strings.Trim(key, " \t"); trimmed != strings.TrimSpace(key) {
		key = " Path"
	} else if strings.TrimSpace(val) == path {
		return strings.Join(attributes, ";"), true
	}
	attributes[at] = key + "=" + path
	return strings.Join(attributes, ";"), true
}

// splitCookie returns the parts of a Set-Cookie field without Domain, the value of the last Path,
// and where that Path stands; -1 if there is no Path. The last Path counts (RFC 6265 §5.3), but
// clients differ in what a blank is and in whether a Path counts that is no path. So only the last
// Path stays, or with all each of them.
func splitCookie(field string, all bool) (attributes []string, place string, at int) {
	parts := strings.Split(field, ";")
	attributes, at = parts[:1], -1
	for _, attribute := range parts[1:] {
		key, val, _ := strings.Cut(attribute, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "domain":
			continue
		case "path":
			if place = strings.TrimSpace(val); at >= 0 && !all {
				attributes[at] = attribute
				continue
			}
			at = len(attributes)
		}
		attributes = append(attributes, attribute)
	}
	return attributes, place, at
}

// cookiePath returns the caller's path for that of a cookie.
func (r *Route) cookiePath(place string) (string, bool) {
	if wire.EscapesBase(place) || strings.Contains(r.Outer+r.Prefix, ";") {
		return "", false
	}
	if place == "/" {
		return r.public(""), true
	}
	if rest, ok := r.Base.Below(place); ok {
		return r.public(rest), true
	}
	if isBelow(r.Base.EscapedPath(), strings.TrimSuffix(place, "/")) {
		// The cookie is for more than the base URL: here, for all that is behind the route.
		return r.public(""), true
	}
	return "", false
}

// defaultPlace is the path of a cookie without one (RFC 6265 §5.1.4).
func defaultPlace(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
