// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestPlaceholders sends Caddy's placeholders in everything that a client can send, into options
// that are filled from it: nothing may be expanded, once or twice.
func TestPlaceholders(t *testing.T) {
	const secret = "Xcanary0of0an0environment0variable"
	t.Setenv("ATTACK_CANARY", secret)
	t.Setenv("ATTACK_OURS", "ours")
	lures := []string{
		"{env.ATTACK_CANARY}", "{file./etc/passwd}", "{$ATTACK_CANARY}", "{http.request.header.X-Lure}", "{http.request.header.X-In}",
		"{{env.ATTACK_CANARY}}", "{{.}}", `{{env "ATTACK_CANARY"}}`, "{http.vars.authenticated_api.exchange}", "{http.request.uri}", "{system.hostname}",
		`\{env.ATTACK_CANARY}`, "{env.{env.ATTACK_CANARY}}", "{http.request.header.{env.ATTACK_CANARY}}", "{time.now}", "{http.request.uuid}",
		"%7Benv.ATTACK_CANARY%7D", "{env.ATTACK_CANARY", "{header.X-Lure}", "{vars.x}", "{err.message}",
	}
	options := `
	auth api_key X-Api-Key {env.ATTACK_OURS}
	signature 0123456789abcdef0123456789abcdef {
		claim in {http.request.header.X-In}
	}
	header X-Tag {http.request.header.X-In}
	header +X-More "a {http.request.header.X-In} b {http.request.uri.query.in}"
	header ?X-Default {http.request.header.X-In}
	query tag {http.request.header.X-In}
	query +more {http.request.uri.query.in}
	query ?default {http.request.cookie.in}
`
	for _, form := range []struct {
		name string
		site func(addr string) string
	}{
		{"base URL", func(addr string) string {
			return "authenticated_api http://" + addr + "/v1/public {" + options + "header_up X-Up {http.request.header.X-In}\n}"
		}},
		{"handler alone", func(addr string) string {
			return "authenticated_api {" + options + "}\nreverse_proxy " + addr + " {\nheader_up X-Up {http.request.header.X-In}\n}"
		}},
	} {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, func(request string) string {
				// Text from the API is no configuration either.
				return rig.Response("200 OK", "X-Back: {env.ATTACK_CANARY}\r\nLocation: /{env.ATTACK_CANARY}\r\n", "{env.ATTACK_CANARY}")
			})
			g := start(t, "", form.site(api.Addr))
			for _, c := range clients(t, g) {
				for _, lure := range lures {
					escaped := strings.NewReplacer(" ", "%20", `"`, "%22", `\`, "%5C").Replace(lure)
					req := request{
						method: http.MethodPost, target: "/" + escaped + "/x?in=" + escaped + "&" + escaped + "=1", body: lure,
						fields: [][2]string{{"x-in", lure}, {"x-lure", lure}, {"cookie", "in=" + lure}, {"user-agent", lure}},
					}
					r := c.do(req)
					if r.status != http.StatusOK {
						t.Fatalf("%s %q: the client got %d %v %q", c.name(), lure, r.status, r.err, r.body)
					}
					got := theRequest(t, api)
					// The names are ours, so they prove nothing. The values would.
					if strings.Contains(got.raw, secret) || strings.Contains(got.raw, "root:") {
						t.Errorf("%s %q was expanded:\n%s", c.name(), lure, got.raw)
					}
					got.wantOne(t, "X-Api-Key", "ours")
					for _, name := range []string{"X-Tag", "X-Lure", "X-Default", "User-Agent", "X-In", "X-Up"} {
						got.wantOne(t, name, lure)
					}
					if want := "tag=" + lure; !strings.Contains(decodeOnce(got.target), want) {
						t.Errorf("%s: the API got %q, want %q in it", c.name(), got.target, want)
					}
					// A proxy that does not have our transport escapes what cannot stand in a
					// path.
					decoded := decodeOnce(got.target)
					if !strings.Contains(decoded, decodeOnce("/"+escaped+"/x?")) || !strings.Contains(decoded, decodeOnce("&in="+escaped+"&"+escaped+"=1")) {
						t.Errorf("%s: the API got %q for %q", c.name(), got.target, req.target)
					}
					if !strings.Contains(got.body, lure) {
						t.Errorf("%s: the API got the body %q", c.name(), got.body)
					}
					if r.header.Get("X-Back") != "{env.ATTACK_CANARY}" || r.body != "{env.ATTACK_CANARY}" {
						t.Errorf("%s: the client got %v %q", c.name(), r.header, r.body)
					}
				}
				// CR and LF that a client has escaped must not come out of a value as such.
				c.do(request{target: "/x?in=a%0d%0aX-Evil:%20evil", fields: [][2]string{{"x-in", "a"}}})
				for _, got := range requests(t, api) {
					got.wantNone(t, "X-Evil")
				}
			}
		})
	}
}
