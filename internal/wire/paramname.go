// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"slices"
	"strings"
	"unicode"
)

// paramName is the name of a query parameter as servers read it. Two names collide if some server
// takes a parameter of one name for a parameter of the other, for a part of it, or for the whole
// of which it is a part. Then a client's parameter could stand in the place of the operator's.
//
// Every server decodes a name. Blanks, control characters, a byte order mark and ? in front of it
// are nothing (PHP, URLSearchParams). NUL ends it (PHP). Case does not count (ASP.NET), by Java's
// rule, to which the Kelvin sign is a k. A byte that is not UTF-8 is U+FFFD (Python). %uXXXX is a
// character, and a lone % is nothing (classic ASP). From there on there are three readings:
//
//   - Brackets: a[b][c] is the path a, b, c. Brackets in front (qs and Rack 2: [a] is a) and what
//     follows behind ] (PHP, qs) are nothing. Blank, + and . in the first element are _ (PHP). An
//     empty element, as in a[], is any element.
//   - An opening bracket without an end is _, and so are blank, + and . behind it (PHP: a[b.c is
//     a_b_c).
//   - Dots: a.b is the path a, b too (ASP.NET, Spring).
//
// Two names collide if a path of one name begins with a path of the other in the first two
// readings, or if the names are the same in the third reading. So a collides with each a[x], and
// a_b with a.b; but a[b] does not collide with a[c], nor a with a.b, nor a_b with a[b].
//
// A name that collides too often costs a client a parameter; a name that collides too seldom costs
// the operator a parameter. So where readings differ the shorter path counts, which collides with
// more names. integration/attack asks the parsers themselves.
type paramName struct {
	paths  [][]string
	dotted []string
}

// newParamName returns a name, which is still escaped, as servers read it.
func newParamName(raw string) paramName {
	name := strings.TrimLeftFunc(foldCase(unescapeName(raw)), func(r rune) bool { return blank(r) || r == '?' })
	name, _, _ = strings.Cut(name, "\x00")
	base, groups, closed := splitBrackets(name)
	n := paramName{dotted: splitDots(name)}
	if trimmed := strings.TrimFunc(base, blank); trimmed != "" {
		n.paths = append(n.paths, append([]string{underscores(trimmed)}, groups...))
		if trimmed != base {
			n.paths = append(n.paths, append([]string{underscores(base)}, groups...))
		}
	}
	if !closed {
		n.paths = append(n.paths, []string{strings.ReplaceAll(underscores(name), "[", "_")})
	}
	return n
}

// empty reports whether there is no name in it.
func (n paramName) empty() bool { return len(n.paths) == 0 }

// collides reports whether some server could take a parameter of one name for one of the other
// name.
func (n paramName) collides(other paramName) bool {
	for _, p := range n.paths {
		for _, q := range other.paths {
			if related(p, q) {
				return true
			}
		}
	}
	return len(n.dotted) > 0 && slices.Equal(n.dotted, other.dotted)
}

// collidesWithWord is collides for a name that wordy reports true for.
func (n paramName) collidesWithWord(word string) bool {
	for _, p := range n.paths {
		if strings.EqualFold(p[0], word) {
			return true
		}
	}
	return len(n.dotted) == 1 && strings.EqualFold(n.dotted[0], word)
}

// related reports whether one path begins with the other.
func related(p, q []string) bool {
	for i := range min(len(p), len(q)) {
		if p[i] != q[i] && (i == 0 || p[i] != "" && q[i] != "") {
			return false
		}
	}
	return true
}

// ParamNames are names of query parameters. A parameter of another name may collide with them: see
// paramName.
type ParamNames []paramName

// NewParamNames returns names, which are not escaped, as servers read them.
func NewParamNames(keys ...string) ParamNames {
	names := make(ParamNames, 0, len(keys))
	for _, key := range keys {
		names = append(names, newParamName(EscapeQuery(key)))
	}
	return names
}

// Collide reports whether a name, which is still escaped, collides with one of ns.
func (ns ParamNames) Collide(raw string) bool {
	if len(ns) == 0 {
		return false
	}
	if wordy(raw) {
		return slices.ContainsFunc(ns, func(n paramName) bool { return n.collidesWithWord(raw) })
	}
	return slices.ContainsFunc(ns, newParamName(raw).collides)
}

// Overlap reports whether a name of ns collides with one of others.
func (ns ParamNames) Overlap(others ParamNames) bool {
	return slices.ContainsFunc(ns, func(n paramName) bool { return slices.ContainsFunc(others, n.collides) })
}

// wordy reports whether a name is the same in all readings but for its case, which saves the work
// for nearly all names.
func wordy(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return name != ""
}

// splitBrackets splits a[b][c] at its brackets. closed says that none of them lacks its end.
func splitBrackets(name string) (base string, groups []string, closed bool) {
	first := strings.IndexByte(name, '[')
	lacksEnd := first >= 0 && strings.IndexByte(name[first:], ']') < 0
	name = strings.TrimLeft(name, "[]")
	end := strings.IndexAny(name, "[]")
	if end < 0 {
		return name, nil, !lacksEnd
	}
	base, rest := name[:end], name[end:]
	for strings.HasPrefix(rest, "[") {
		rest = strings.TrimLeft(rest[1:], "[")
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			if groups == nil { // PHP reads a[b][c as a[b]
				groups = append(groups, element(rest))
			}
			break
		}
		groups = append(groups, element(rest[:end]))
		rest = rest[end+1:]
	}
	return base, groups, !lacksEnd
}

// splitDots splits a.b[c] at its dots and brackets.
func splitDots(name string) []string {
	elements := strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	for i := range elements {
		elements[i] = element(elements[i])
	}
	return slices.DeleteFunc(elements, func(s string) bool { return s == "" })
}

// element returns an element of a path without blanks and quotes around it, which Spring drops.
func element(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return blank(r) || r == '"' || r == '\'' })
}

func underscores(s string) string {
	return strings.NewReplacer(" ", "_", ".", "_", "+", "_").Replace(s)
}

// blank reports whether servers drop a rune at the ends of a name.
func blank(r rune) bool { return r <= ' ' || r == 0xfeff || unicode.IsSpace(r) }

func foldCase(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

// unescapeName is Unescape for a name, with the rules of classic ASP for what Unescape leaves.
func unescapeName(raw string) string {
	name := Unescape(raw, true)
	if !strings.Contains(name, "%") {
		return name
	}
	var sb strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] != '%':
			sb.WriteByte(name[i])
		case isUnicodeEscape(name[i:]):
			var r rune
			for _, c := range []byte(name[i+2 : i+6]) {
				r = r<<4 | rune(Unhex(c))
			}
			sb.WriteRune(r)
			i += 5
		}
	}
	return sb.String()
}

// isUnicodeEscape reports whether s begins with %uXXXX.
func isUnicodeEscape(s string) bool {
	return len(s) >= 6 && s[1]|0x20 == 'u' && IsHex(s[2]) && IsHex(s[3]) && IsHex(s[4]) && IsHex(s[5])
}
