// SPDX-License-Identifier: Apache-2.0

package auth

import "strings"

// A cookie that pass_response_header lets through is for the places of the API for which the API has
// set it: those of them that are behind this route, and none of another route's.

// cookies returns Set-Cookie fields as they are for the caller. One for a place beside the base URL
// is dropped, since no request that comes this way may carry it.
func (r *Route) cookies(fields []string) []string {
	var kept []string
	for _, field := range fields {
		if field, ok := r.cookie(field); ok {
			kept = append(kept, field)
		}
	}
	return kept
}

// cookie maps the Path of a cookie and drops its Domain, which makes it a cookie of the host that the
// caller has called (RFC 6265 §5.2.3, §5.3).
func (r *Route) cookie(field string) (string, bool) {
	name, _, _ := strings.Cut(field, "=")
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-") {
		attributes, _, _ := splitCookie(field, true)
		return strings.Join(attributes, ";"), true // browsers take it for the whole host or not at all
	}
	attributes, place, at := splitCookie(field, false)
	if !strings.HasPrefix(place, "/") {
		if at >= 0 {
			attributes = append(attributes[:at], attributes[at+1:]...) // to clients it is as if it were not there
			at = -1
		}
		place = defaultPlace(r.sentPath())
		if r.sameFolder() && r.Base.within(place) {
			return strings.Join(attributes, ";"), true // the caller's client makes the same of its own URL
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

// splitCookie returns the parts of a Set-Cookie field without Domain, what the last Path says, and where
// that stands; -1 if there is none. The last one counts (RFC 6265 §5.3), and clients differ in what a
// blank is and in whether one counts that is no path. So no other Path stays, unless all are to.
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
	if EscapesBase(place) || strings.Contains(r.Outer+r.Prefix, ";") {
		return "", false
	}
	if place == "/" {
		return r.public(""), true
	}
	if rest, ok := r.Base.below(place); ok {
		return r.public(rest), true
	}
	if isBelow(r.Base.escapedPath, strings.TrimSuffix(place, "/")) {
		return r.public(""), true // for more than the base URL: here, for all that is behind the route
	}
	return "", false
}

// within reports whether a path is below the base URL's.
func (b *BaseURL) within(path string) bool {
	_, ok := b.below(path)
	return ok
}

// defaultPlace is the path of a cookie without one (RFC 6265 §5.1.4).
func defaultPlace(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
