// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/url"
	"strings"
)

// Queries are edited as text, never parsed and written anew: what is not ours keeps its bytes and its order, and what
// url.ParseQuery refuses (a lone %, a semicolon) passes as it was sent.

// eachParameter calls f with the name, as it is escaped, and the place of every parameter in raw, empty ones too, until f
// returns false. Both & and ; count as separators: WHATWG and Go know the first only, but older servers split at the second too.
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

// CountQuery returns how many parameters there are in raw, empty ones too, to a server that splits it at & and ;.
func CountQuery(raw string) (n int) {
	if raw == "" {
		return 0
	}
	return 1 + strings.Count(raw, "&") + strings.Count(raw, ";")
}

// hasQuery reports whether raw has a parameter that collides with names.
func hasQuery(raw string, names queryNames) (found bool) {
	eachParameter(raw, func(name string, _, _ int) bool {
		found = names.take(name)
		return !found
	})
	return found
}

// removeQuery returns raw without the parameters that collide with names. All other bytes stay.
func removeQuery(raw string, names queryNames) string {
	if raw == "" || len(names) == 0 || !hasQuery(raw, names) {
		return raw
	}
	return mapQuery(raw, func(name, param string) (string, bool) { return param, !names.take(name) })
}

// mapQuery returns raw with what f makes of each parameter, or without it where f returns false.
func mapQuery(raw string, f func(name, param string) (string, bool)) string {
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

// joinQuery joins two raw queries, of which one or both may be empty.
func joinQuery(first, second string) string {
	if first == "" {
		return second
	}
	if second == "" {
		return first
	}
	return first + "&" + second
}

// escapeQuery escapes a name or a value. A blank becomes %20, which every server reads alike; not all read + as one.
func escapeQuery(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// unescapeLenient decodes the percent escapes in s and leaves what is none as it stands, which is what the more
// tolerant servers do. plus says whether + is a blank.
func unescapeLenient(s string, plus bool) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case c == '+' && plus:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}
