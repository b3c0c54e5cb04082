// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/url"
	"strings"
)

// Queries are edited as text, never parsed and written anew. Parameters that the gateway does not
// set keep their bytes and their order, and what url.ParseQuery refuses (a lone %, a semicolon)
// passes as it was sent.

// eachParameter calls f with the name, still escaped, and the place of every parameter in raw,
// empty ones too, until f returns false. Both & and ; count as separators: WHATWG and Go know &
// only, but older servers split at ; too.
func eachParameter(raw string, f func(name string, start, end int) bool) {
	for start := 0; start <= len(raw); {
		end := len(raw)
		if i := strings.IndexAny(raw[start:], "&;"); i >= 0 {
			end = start + i
		}
		name, _, _ := strings.Cut(raw[start:end], "=")
		if !f(name, start, end) {
			return
		}
		start = end + 1
	}
}

// CountQuery returns how many parameters a server finds in raw if it splits raw at & and ;. Empty
// parameters count too.
func CountQuery(raw string) (n int) {
	if raw == "" {
		return 0
	}
	return 1 + strings.Count(raw, "&") + strings.Count(raw, ";")
}

// HasQuery reports whether raw has a parameter that collides with names.
func HasQuery(raw string, names ParamNames) (found bool) {
	eachParameter(raw, func(name string, _, _ int) bool {
		found = names.Collide(name)
		return !found
	})
	return found
}

// RemoveQuery returns raw without the parameters that collide with names. All other bytes stay.
func RemoveQuery(raw string, names ParamNames) string {
	if raw == "" || len(names) == 0 || !HasQuery(raw, names) {
		return raw
	}
	return MapQuery(raw, func(name, param string) (string, bool) { return param, !names.Collide(name) })
}

// MapQuery returns raw with what f makes of each parameter. Parameters for which f returns false
// are left out.
func MapQuery(raw string, f func(name, param string) (string, bool)) string {
	var sb strings.Builder
	kept := -1 // the end of the parameter that was kept last
	eachParameter(raw, func(name string, start, end int) bool {
		param, keep := f(name, raw[start:end])
		if !keep {
			return true
		}
		if kept >= 0 {
			// Of the separators around what was dropped, the one that all servers know.
			separator := raw[start-1]
			if raw[kept] == '&' {
				separator = '&'
			}
			sb.WriteByte(separator)
		}
		sb.WriteString(param)
		kept = end
		return true
	})
	return sb.String()
}

// JoinQuery joins two raw queries, of which one or both may be empty.
func JoinQuery(first, second string) string {
	if first == "" {
		return second
	}
	if second == "" {
		return first
	}
	return first + "&" + second
}

// EscapeQuery escapes a name or a value. A blank becomes %20, which every server reads alike; some
// servers do not read + as a blank.
func EscapeQuery(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// LegalQuery escapes the bytes that an HTTP/2 client can send in a query and that would end the
// request line of HTTP/1.1, and #, at which some servers stop reading.
func LegalQuery(query string) string {
	if !strings.ContainsAny(query, " \t#") {
		return query
	}
	return strings.NewReplacer(" ", "%20", "\t", "%09", "#", "%23").Replace(query)
}
