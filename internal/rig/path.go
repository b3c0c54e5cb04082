// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"path"
	"strings"
)

// Leaves reports whether a path is outside of base to some server. It reads the path as each
// server might: decoded up to twice, with \ as /, without parameters, cut at what could end it,
// without tabs and line breaks (as the WHATWG URL standard says), with double slashes as one or
// not. It is independent of the rule that it checks.
func Leaves(target, base string) bool {
	for decodings := range 3 {
		p := target
		for range decodings {
			p = Unescape(p)
		}
		for variant := range 32 {
			q := p
			if variant&1 != 0 {
				q = strings.ReplaceAll(q, `\`, "/")
			}
			if variant&2 != 0 {
				q = withoutParameters(q)
			}
			if variant&4 != 0 {
				if i := strings.IndexAny(q, "#?"); i >= 0 {
					q = q[:i]
				}
			}
			if variant&16 != 0 {
				q = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(q)
			}
			if variant&8 != 0 {
				q = removeDotSegments(q)
			} else {
				q = path.Clean(q) // makes one slash of two before .. takes a segment away
			}
			if q != base && !strings.HasPrefix(q, base+"/") {
				return true
			}
		}
	}
	return false
}

// Unescape decodes the percent escapes in s once, and leaves what is no escape as it stands. It is
// independent of the code that it checks.
func Unescape(s string) string {
	const digits = "0123456789abcdef"
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi := strings.IndexByte(digits, s[i+1]|0x20)
			lo := strings.IndexByte(digits, s[i+2]|0x20)
			if hi >= 0 && lo >= 0 {
				sb.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		sb.WriteByte(s[i])
	}
	return sb.String()
}

// withoutParameters removes the parameters of all segments (RFC 3986 §3.3).
func withoutParameters(p string) string {
	segments := strings.Split(p, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

// removeDotSegments follows RFC 3986 §5.2.4, where .. takes away an empty segment too.
func removeDotSegments(p string) string {
	var out []string
	for segment := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		switch segment {
		case ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}
