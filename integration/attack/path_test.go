// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// leaves reports whether a path is outside of /v1/public to some server. It reads the path as
// each of them might: decoded up to twice, with \ as /, without parameters, cut at what could end
// it, without tabs and line breaks (as the WHATWG URL standard says), with double slashes as one
// or not. It was written independently of the rule that it checks.
func leaves(target string) bool {
	for decodings := range 3 {
		p := target
		for range decodings {
			p = decodeOnce(p)
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
				q = path.Clean(q) // which makes one slash of two, before .. takes a segment away
			}
			if q != "/v1/public" && !strings.HasPrefix(q, "/v1/public/") {
				return true
			}
		}
	}
	return false
}

func decodeOnce(s string) string {
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

func withoutParameters(p string) string {
	segments := strings.Split(p, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

// removeDotSegments is RFC 3986 §5.2.4, to which an empty segment is one that .. takes away.
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

// pathCorpus is made from rules: how a .. can be spelled, what can stand before it, behind it,
// and what it is for.
func pathCorpus() []string {
	corpus := []string{
		// What stock Caddy passes on was measured.
		"/../../admin", "/%2e%2e/%2e%2e/admin", "/..%2f..%2fadmin",
		"/..", "/.", "/../", "/./", "/%2e", "/x/..", "/x/.", "/..;/..;/admin", "/..;a=b/admin", "/%2e%2e;/admin",
		`/..\..\admin`, `/x\..\..\..\admin`, "/%5c..%5c..", "/.%00./admin", "/..%00/admin", "/x%00", "/x%2500", "/%00",
		"/x/../../public/../../admin", "/a/../b", "//..", "//../..//admin", "/%2f../..", "/..#/x", "/..%23/x", "/..%3fx",
		"/x/..?q=/y", "/%252e%252e%252fadmin", "/.%252e/", "/..%252f..%252fadmin", "/%25%32%65%25%32%65/admin",
	}
	// However many segments precede it, one more .. is enough.
	for _, before := range []string{"", "/a", "/a/b", "/", "/a%2fb", "/a;b"} {
		for _, dots := range []string{"..", "%2e%2e", ".%2e", "%2e.", "%2E%2e", "%252e%252E", ".%252e", "%25%32%65.", ".%09.", "%0a..", "%2e%2e%0D", ".%250d."} {
			for _, slash := range []string{"/", "%2f", "%2F", `\`, "%5c", "%5C", "%252f", "%255c"} {
				for _, behind := range []string{"", ";", ";x=1", "%3b", "%3Bx", "%253bx", "%23x", "%3Fx"} {
					step := slash + dots + behind
					corpus = append(corpus, before+"/x"+strings.Repeat(step, 2+strings.Count(before, "/"))+slash+"admin")
				}
			}
		}
	}
	return corpus
}

// harmless paths must arrive byte for byte, below the base path.
var harmless = []string{
	"/", "/x", "/x/", "/x//", "//", "//x", "///x", "/x//y", "/a%2Fb", "/a%2fb%2Fc", "/group%2Fproject/issues", "/a%20b", "/a+b",
	"/a%2Bb", "/a;b=1;c", "/a;b/c;d", "/a,b", "/a:b", "/a@b", "/a=b", "/a&b", "/a$b", "/a!b", "/a'b", "/a(b)", "/a*b", "/~a", "/a|b",
	"/a%7Cb", "/a[b]", "/a%5Bb%5D", "/a^b", "/a`b", "/{a}", "/a\"b", "/a<b>", "/a\\b", "/a%5Cb", "/é", "/%C3%A9", "/日本", "/%e6%97%a5",
	"/...", "/..x", "/x..", "/.x", "/x.", "/a..b", "/.well-known/x", "/..%20", "/%2e%2e%2e", "/x.%2e", "/%2e%2ex", "/...;x",
	"/%25", "/100%25", "/%2525", "/a%3Fb", "/a%23b", "/%E2%82%AC?q=%E2%82%AC", "/x?..", "/x?a=/../b", "/x?a=..%2f..", "/x?", "/?", "/x?a=b?c",
	"/a%0Ab", "/.%09.x", "/.%0b.", "/a%0d%0aX-Evil:%201", "/a%09b", "/a%7Fb", "/a%80b", "/%FF%FE", "/%c0%ae%c0%ae", "/%2F", "/%2f%2f", "//a//b//",
	"/v1/public/x", "/http://evil.test/x", "/http:%2f%2fevil.test", "/@evil.test", "/:80/x", "/*", "/x#y", "/x%23y#",
}

// TestPath sends every string of the corpus: the API gets it below the base path, with the
// gateway's credential and no other, or the client gets 400. What leaves the base path to no
// server at all is the twin: it must arrive as sent.
func TestPath(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}")
	corpus := pathCorpus()
	if len(corpus) < 2000 {
		t.Fatalf("the corpus has %d strings", len(corpus))
	}
	for _, c := range clients(t, g) {
		t.Run(c.name(), func(t *testing.T) {
			refusals, arrivals := 0, 0
			for _, target := range thin(corpus, 16) {
				if sendPath(t, api, c, target) {
					arrivals++
				} else {
					refusals++
				}
				if t.Failed() {
					return
				}
			}
			if refusals == 0 {
				t.Error("nothing was refused")
			}
			t.Logf("%d refused, %d arrived", refusals, arrivals)
			for _, target := range harmless {
				if !sendPath(t, api, c, target) {
					t.Errorf("%q is harmless, but was refused", target)
				}
			}
		})
	}
}

// TestPathStripped does the same behind handle_path, which cuts a prefix off before the path is
// judged. On its way Caddy makes one slash of two and escapes what cannot stand in a URL; all
// other bytes must stay there too.
func TestPathStripped(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", "handle_path /gh/* {\nauthenticated_api http://"+api.Addr+"/v1/public {\nauth bearer ours\n}\n}")
	prefixes := []string{"/gh", "/%67h", "/x/../gh", "/gh/..%2fgh", "/GH"}
	for _, c := range clients(t, g) {
		for i, target := range thin(pathCorpus(), 16) {
			if i%3 != 0 {
				continue
			}
			target = prefixes[i/3%len(prefixes)] + target
			c.do(request{target: target})
			for _, got := range requests(t, api) {
				if leaves(got.path()) {
					t.Fatalf("%s %q: the API got %q", c.name(), target, got.target)
				}
			}
		}
		for _, target := range harmless {
			c.do(request{target: "/gh" + target})
			got, want := theRequest(t, api).target, "/v1/public"+target
			if legal := !strings.ContainsAny(target, "|^`{}\"<>\\#") && !strings.Contains(target, "//") && isASCII(target); !legal {
				got, want = foldSlashes(decodeOnce(got)), foldSlashes(decodeOnce(want))
			}
			if got != want {
				t.Errorf("%s: the API got %q for %q", c.name(), got, "/gh"+target)
			}
		}
	}
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0 }

func foldSlashes(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

// TestPathHTTP2API sends the harmless paths to an API that speaks HTTP/2: Go's client writes them
// by other rules then.
func TestPathHTTP2API(t *testing.T) {
	var uri, proto string
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		uri, proto = r.RequestURI, r.Proto
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}
	api.EnableHTTP2 = true
	api.StartTLS()
	defer api.Close()
	g := start(t, "", "authenticated_api "+api.URL+"/v1/public {\nauth bearer ours\nself_signed_cert "+certificate.File+"\n}")
	for _, target := range harmless {
		uri = ""
		if r := (&h1Client{addr: g.plain}).do(request{target: target}); r.status != http.StatusOK {
			t.Errorf("%q: the client got %d %v", target, r.status, r.err)
		}
		if uri != atRoot("/v1/public", target) || proto != "HTTP/2.0" {
			t.Errorf("%q: the API got %q over %s", target, uri, proto)
		}
	}
}

// sendPath sends a request for target and checks what comes of it. It reports whether it arrived.
func sendPath(t *testing.T, api *rig.API, c client, target string) bool {
	t.Helper()
	r := c.do(request{target: target, fields: [][2]string{{"authorization", "Bearer theirs"}}})
	got := requests(t, api)
	if len(got) == 0 {
		if !r.refused() {
			t.Errorf("%q: not served, but the client got %d %v %q", target, r.status, r.err, r.body)
		}
		if r.status == http.StatusBadRequest && r.problem() != "" && r.problem() != "bad-path" {
			t.Errorf("%q: refused for %q", target, r.problem())
		}
		return false
	}
	if len(got) > 1 {
		t.Fatalf("%q: %d requests", target, len(got))
	}
	got[0].wantOne(t, "Authorization", "Bearer ours")
	got[0].wantOne(t, "Host", api.Addr)
	if r.status != http.StatusOK || r.body != "ok" {
		t.Errorf("%q: the client got %d %v %q", target, r.status, r.err, r.body)
	}
	if leaves(got[0].path()) {
		t.Errorf("%q: the API got %q, which leaves the base path", target, got[0].target)
	}
	if want := atRoot("/v1/public", target); got[0].target != want {
		t.Errorf("the API got %q, want %q", got[0].target, want)
	}
	return true
}

// atRoot returns what the API gets for target at the root of a site, where / is the base URL
// itself. A raw # would be the end of the target for some servers.
func atRoot(base, target string) string {
	target = strings.ReplaceAll(target, "#", "%23")
	if target == "/" || strings.HasPrefix(target, "/?") {
		return base + target[1:]
	}
	return base + target
}
