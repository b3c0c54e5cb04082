// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// FuzzHeaders sends header lines and a query of the fuzzer's through a whole gateway: whatever
// the API gets has everything of ours once, and nothing in its place.
func FuzzHeaders(f *testing.F) {
	for _, lines := range []string{
		"X-Api-Key: evil\r\n", "Connection: x-api-key, close\r\n", "x_api_key: evil\r\nX-Env: \r\n", "Transfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n", "X-Other: a\r\n b\r\n",
		"Upgrade: h2c\r\nConnection: Upgrade\r\n", "Expect: 100-continue\r\n", "Content-Length: 3\r\n", "Host: evil.test\r\n", "Te: trailers\r\n",
	} {
		f.Add("/x", "env=evil&a=b", lines, "")
		f.Add("/%2e%2e/x", "ENV[]=evil;x", lines, "3\r\nabc\r\n0\r\nX-Api-Key: evil\r\n\r\n")
	}
	api := rig.NewAPI(f, nil)
	g := start(f, "", everything(api))
	f.Fuzz(func(t *testing.T, path, query, lines, body string) {
		if strings.ContainsAny(path+query, " \r\n\x00") || !strings.HasPrefix(path, "/") {
			return
		}
		// The connection ends here, so that nothing waits for the rest of an incomplete request.
		raw := "POST " + path + "?" + query + " HTTP/1.1\r\nHost: " + g.plain + "\r\n" + lines + "\r\n" + body
		exchange(t, g.plain, raw)
		for _, s := range requests(t, api) {
			for _, field := range oursFields {
				s.wantOne(t, field[0], field[1])
			}
			if got := s.alike("X-Appsmith-Signature"); len(got) != 1 || !strings.HasPrefix(got[0], "eyJ") {
				t.Errorf("the API got the signatures %q", got)
			}
			for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-For", "X-Gone", "Via"} {
				s.wantNone(t, name)
			}
			s.wantOne(t, "Host", api.Addr)
			s.wantFraming(t)
			if leaves(s.path()) {
				t.Errorf("the API got %q", s.target)
			}
			_, query, _ := strings.Cut(s.target, "?")
			if found := namedAlike(query, "env"); len(found) != 1 || found[0] != "env=prod" {
				t.Errorf("the API got %q", s.target)
			}
			_, trailers, _ := strings.Cut(s.body, "\r\n0\r\n")
			for line := range strings.SplitSeq(trailers, "\r\n") {
				name, _, _ := strings.Cut(line, ":")
				switch cgiName(name) {
				case "X_API_KEY", "X_ENV", "X_TAG", "X_GONE", "X_APPSMITH_SIGNATURE", "AUTHORIZATION", "CONTENT_LENGTH", "TRANSFER_ENCODING", "HOST":
					t.Errorf("the API got the trailer %q", line)
				}
			}
		}
	})
}
