// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/url"
	"strings"
)

// Queries are edited as text, never parsed and written anew: what is not ours keeps its bytes and its order, and what
// url.ParseQuery refuses (a lone %, a semicolon) passes as it was sent.

// foldQuery returns the form of a parameter's name in which two names are the same to some API: decoded, in lower
// case, without brackets (PHP and Rails read a[] and a[0] as a).
func foldQuery(name string) string {
	if plain(name) {
		return name
	}
	name = strings.ToLower(unescapeLenient(name, true))
	if end := strings.IndexAny(name, "[\x00"); end >= 0 {
		name = name[:end]
	}
	return strings.TrimLeft(name, " ")
}

// foldedKey is foldQuery for a name that is not escaped.
func foldedKey(key string) string { return foldQuery(escapeQuery(key)) }

// plain reports whether a name is its own folded form, which saves the work for nearly all of them.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// eachParameter calls f with the folded name and the place of every parameter in raw, empty ones too, until f returns
// false. Both & and ; count as separators: WHATWG and Go know the first only, but older servers split at the second too.
func eachParameter(raw string, f func(name string, start, end int) bool) {
	for start := 0; start <= len(raw); {
		end := len(raw)
		if i := strings.IndexAny(raw[start:], "&;"); i >= 0 {
			end = start + i
		}
		name, _, _ := strings.Cut(raw[start:end], "=")
		if !f(foldQuery(name), start, end) {
			return
		}
		start = end + 1
	}
}

// hasQuery reports whether raw has a parameter of that folded name.
func hasQuery(raw, name string) (found bool) {
	eachParameter(raw, func(n string, _, _ int) bool {
		found = n == name
		return !found
	})
	return found
}

// removeQuery returns raw without the parameters of one folded name.
func removeQuery(raw, name string) string {
	if raw == "" || !hasQuery(raw, name) {
		return raw
	}
	return filterQuery(raw, func(n string) bool { return n == name })
}

// filterQuery returns raw without the parameters whose folded name drop is true for. All other bytes stay.
func filterQuery(raw string, drop func(name string) bool) string {
	return mapQuery(raw, func(name, param string) (string, bool) { return param, !drop(name) })
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

func appendQuery(raw, parameter string) string {
	if raw == "" {
		return parameter
	}
	return raw + "&" + parameter
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
