// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"slices"
	"strings"
)

// RemoveCookies returns Cookie fields without the cookies that collide with names. It is fields
// itself if there is none. A cookie ends at a semicolon (RFC 6265 §4.2.1), quotes or not; older
// servers end it at a comma, too (RFC 2965 §3.3.4). Servers read the names of cookies as they read
// those of parameters: to PHP s.id is s_id, and sid[x] a part of sid.
func RemoveCookies(fields []string, names ParamNames) []string {
	if !slices.ContainsFunc(fields, func(f string) bool { return hasCookie(f, names) }) {
		return fields
	}
	var kept []string
	for _, f := range fields {
		var pairs []string
		for pair := range strings.SplitSeq(f, ";") {
			if pair = withoutCookie(pair, names); strings.TrimSpace(pair) != "" {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.TrimLeft(strings.Join(pairs, ";"), " \t"))
		}
	}
	return kept
}

// withoutCookie returns a pair without the parts that an older server would read as a cookie of
// one of the names.
func withoutCookie(pair string, names ParamNames) string {
	if !hasCookie(pair, names) {
		return pair
	}
	parts := slices.DeleteFunc(strings.Split(pair, ","), func(part string) bool { return names.Collide(CookieName(part)) })
	return strings.Join(parts, ",")
}

func hasCookie(field string, names ParamNames) bool {
	for part := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == ';' || r == ',' }) {
		if names.Collide(CookieName(part)) {
			return true
		}
	}
	return false
}

// CookieName returns the name of a pair name=value, or of a Set-Cookie field.
func CookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(name)
}
