// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestEscapesBase(t *testing.T) {
	for _, path := range []string{
		// RFC 3986 §5.2.4
		"..", "/..", "/../", "/a/..", "/a/../b", "/./..", "/.././", "../a", "//..", "/..//", "/a/b/../../..",
		// RFC 3986 §6.2.2.2: %2e is a dot to whoever normalizes.
		"/%2e%2e", "/%2E%2e", "/.%2e", "/%2e.", "/a/%2e%2e/b", "/a%2f..", "/a%2F%2e%2e%2fb",
		// Decoded once by a proxy, once more by the server behind it.
		"/%252e%252e", "/%252E.", "/.%252e", "/%2e%252e", "/%%32%65%%32%65", "/%%32e.", "/%25%32%65.", "..%252f", "/a%252f%252e%252e",
		// Escaped slashes, and what Windows takes for one.
		"..%2f", "/..%2f", "/a%2f..%2fb", "..%5c", "/..%5ca", `\..\`, `/a\..\b`, `/a\..`, `..\`, "/a%5c..", "/a%255c..%255cb", `/%2e%2e\`,
		// Path parameters, RFC 3986 §3.3; Tomcat drops them before it normalizes.
		"..;/", "/..;", "/..;/a", "/..;x=1/a", "/..;a;b/c", "..%3b/", "/..%3Ba/b", "/..%253b/a", "/%2e%2e;/a", "/%2e%2e%3b/a",
		"/;/..", "/a;b/..", "/..;%2f", `/..;\a`,
		// Some servers end a path at NUL.
		"%00", "/a%00", "/a%00b", "/%2500", "/a%2500.html", "/..%00", "/a/..%00/b", "/\x00", "/%0%300",
		// net/url takes a raw # into the path; nginx ends the path there, and normalizes
		// /base/..#x to /. Who decodes and parses again does the same with escaped ones and with
		// ?.
		"/..#", "/..#x", "/a/..#/b", "/..%23", "/a/..%2523", "/..%3f", "/..%3Fa=b", "/..%253f", "/..;a#b",
		"/%zz/..", "/%/..", "/%2/%2e%2e",
		// The WHATWG URL standard drops tabs and line breaks, wherever they are, before it looks
		// for dots.
		"/.%09./x", "/.%0a./x", "/.%0d./x", "/%09../x", "/..%0A/x", "/%0d%0a.%09%09.%0a", "/.\t./x", "/\n..", "/%2e%09%2e/x",
		"/.%2509./x", "/%250a%252e%250d%252e", "/a%2f.%09.%2fb", "/..%09;x=1/a", "/.%0a.;/a", "/.%09.%23x", "/a\\.%0d.\\b",
	} {
		if !wire.EscapesBase(path) {
			t.Errorf("%q passes", path)
		}
	}
	for _, path := range []string{
		"", "/", "//", "/a", "/a/", "/a/b", "/a//b", "*",
		"/.well-known/x", "/.a", "/..a", "/a.", "/a..", "/a..b", "/...", "/....", "/.../a", "/a/...", "/.a./b", "/. ", "/.. a",
		"/v1.2/x.json", "/a.b/c.d", "/1..2", "/a/..b/c", "/%2ea", "/%2e%2ea", "/a%2e%2e", "/%2e%2e%2e", "/%252e%252e%252e",
		"/a%2fb", "/a%5cb", `/a\b`, "/a%252fb", "/a%20b", "/a+b", "/100%25", "/100%2525", "/a;v=1", "/a;v=1..2", "/a;../b", "/a;..", "/;",
		"/a;%2e%2e", "/a%3b..", "/%zz..", "/%..", "/..%", "/..%2", "/.%zz", "/a#..", "/a#/b", "/a%23b", "/a%3fb",
		// A lone dot leads nowhere, and a name may begin with one: rclone, Emacs (.#lock), CVS
		// (.#file.1.2), apt (./Packages).
		".", "/.", "/./", "/a/.", "/a/./b", "./a", "/././.", "/%2e", "/%2E/x", "/%252e", "/%%32%65", "/a%2f.%2Fb", `/.\x`, "/.%5cx", "/.%09",
		"/.%0a/x", "/.#x", "/.#notes.txt", "/.%23notes.txt", "/.%2523x", "/%2e%23x", "/.?", "/.%3Fx", "/.%253fx", "/.;", "/.;/", "/.;v=1", "/.;../x",
		"/.;x/y", "/.%3bx", "/.;a#..", "/a/.;b/c", "/.#../x", "/.%3f..", "/.#;..",
		// Decoded three times it would be a dot segment. Nobody decodes three times.
		"/%25252e%25252e",
		"/a%09b", "/%09", "/%0d%0a", "/.%09.x", "/...%09", "/.%09..", "/.%0b.", "/.%20.", "/%09a..", "/.%09.%09.",
		"/caf\xc3\xa9", "/\xff", "/\xc0\xae\xc0\xae", "/%c0%ae", "/%ff.",
	} {
		if wire.EscapesBase(path) {
			t.Errorf("%q is refused", path)
		}
	}
}

// The attack grammar: every way to write two dots, between every two ways to write the ends of a
// segment. The twin of an attack has a letter at the dots, which makes a name of them.
func TestEscapesBaseGrammar(t *testing.T) {
	dot := []string{".", "%2e", "%2E", "%252e", "%252E", "%25%32%65", "%%32%65", "%%32e"}
	var dots []string
	for _, a := range dot {
		for _, b := range dot {
			dots = append(dots, a+b)
		}
	}
	slash := []string{"/", "%2f", "%2F", "%252f", `\`, "%5c", "%255C", "//", "/%2f"}
	before := []string{""}
	for _, s := range slash {
		before = append(before, s, "/a"+s, "/a;x"+s, "/a/b.c"+s)
	}
	for _, nothing := range []string{"%09", "%0a", "%0D", "%2509", "\t", "%0d%0a"} {
		dots = append(dots, "."+nothing+".", nothing+"..", "%2e%2e"+nothing)
	}
	after := []string{"", ";", ";x=1", "%3b", "%3B/y", "%253b", ";/y", "#", "#z", "%23", "%3f"}
	for _, s := range slash {
		after = append(after, s, s+"b", s+"b/c?", ";v"+s)
	}

	for _, b := range before {
		for _, d := range dot {
			for _, a := range after {
				if lone := b + d + a; wire.EscapesBase(lone) {
					t.Errorf("%q is refused, though a lone dot leads nowhere", lone)
				}
			}
		}
	}
	attacks := make(map[string]bool)
	for _, b := range before {
		for _, d := range dots {
			for _, a := range after {
				attack := b + d + a
				if !wire.EscapesBase(attack) {
					t.Errorf("%q passes", attack)
				}
				for _, twin := range []string{b + "x" + d + a, b + d + "x" + a} {
					if wire.EscapesBase(twin) {
						t.Errorf("%q is refused", twin)
					}
				}
				attacks[attack] = true
			}
		}
	}
	if len(attacks) < 2000 {
		t.Errorf("only %d attacks", len(attacks))
	}
}

func TestEscapesBaseAllocations(t *testing.T) {
	for _, path := range []string{"/", "/api/v2/users/42", "/files/report.v1.pdf", "/.well-known/openid-configuration"} {
		if n := testing.AllocsPerRun(100, func() { wire.EscapesBase(path) }); n != 0 {
			t.Errorf("%q: %v allocations", path, n)
		}
	}
}

// leavesBase is EscapesBase written in another way: it makes all three readings of a path first
// and then looks.
func leavesBase(path string) bool {
	for range 3 {
		if strings.Contains(path, "\x00") {
			return true
		}
		for segment := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
			for _, cut := range []string{";", "#", "?"} {
				segment, _, _ = strings.Cut(segment, cut)
			}
			segment = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(segment)
			if segment == ".." {
				return true
			}
		}
		path = percentDecode(path)
	}
	return false
}

// percentDecode decodes valid escapes from the left, and leaves all others.
func percentDecode(s string) string {
	var out []byte
	for s != "" {
		if len(s) >= 3 && s[0] == '%' {
			if c, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				out = append(out, byte(c))
				s = s[3:]
				continue
			}
		}
		out = append(out, s[0])
		s = s[1:]
	}
	return string(out)
}

func FuzzEscapesBase(f *testing.F) {
	for _, path := range []string{
		"", "/", "/a/b", "/..", "/%2e%2e", "/%252e%252e", "..%2f", `\..\`, "..;/", "..%3b/", "%00", "%2500", "/.well-known/x", "/a..b", "/...",
		"/%zz..", "/%%32%65%%32%65", "/..#x", "/..%3f", "/a;b/..;c", "/%2%65", "%", "%2", "/\xff",
		"/.%09./x", "/%0d..", "/.%250a.",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if got, want := wire.EscapesBase(path), leavesBase(path); got != want {
			t.Errorf("EscapesBase(%q) = %t", path, got)
		}
	})
}
