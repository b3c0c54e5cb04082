// SPDX-License-Identifier: Apache-2.0

package wire

import "strings"

// EscapesBase reports whether an escaped path could leave the base URL that it is joined to, on
// some server or other: whether any of its segments is .. or holds NUL, decoded up to twice, with
// \ read as / and cut at a semicolon.
//
// A segment is cut at # and ? too: net/url leaves a raw # of a request line in the path, and some
// servers end the path there (nginx makes / of /v2/..#x). So do servers that decode a path before
// they parse it.
//
// A tab, CR or LF in a segment counts as nothing: parsers by the WHATWG URL standard ("basic URL
// parser", step 3) drop them before they look for dots. To them /.%09./ of a path that was decoded
// is /../.
//
// Proxies and servers disagree on all of these (RFC 3986 §5.2.4 and §6.2.2; Envoy CVE-2019-9901),
// so such a path is refused, never repaired.
//
// A segment that is . stays where it is on every server, so it passes, cut or not: .#notes.txt is
// a file's name to Emacs and CVS, and apt asks for a flat repository's index as ./Packages.
func EscapesBase(escaped string) bool {
	if strings.IndexByte(escaped, '.') < 0 && strings.IndexByte(escaped, '%') < 0 && strings.IndexByte(escaped, 0) < 0 {
		return false
	}
	for range 3 {
		if hasParentSegment(escaped) {
			return true
		}
		decoded := Unescape(escaped, false)
		if len(decoded) == len(escaped) {
			return false
		}
		escaped = decoded
	}
	return false
}

func hasParentSegment(path string) bool {
	start, cut := 0, -1
	for i := 0; i <= len(path); i++ {
		if i < len(path) {
			switch path[i] {
			case 0:
				return true
			case ';', '#', '?':
				if cut < 0 {
					cut = i
				}
				continue
			case '/', '\\':
			default:
				continue
			}
		}
		end := i
		if cut >= 0 {
			end = cut
		}
		if isParent(path[start:end]) {
			return true
		}
		start, cut = i+1, -1
	}
	return false
}

// isParent reports whether a segment is .. without its tabs and line breaks.
func isParent(segment string) bool {
	dots := 0
	for i := range len(segment) {
		switch segment[i] {
		case '.':
			dots++
		case '\t', '\r', '\n':
		default:
			return false
		}
	}
	return dots == 2
}
