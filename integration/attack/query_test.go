// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// namedAlike returns the parameters of a raw query that some server takes for name. It is
// independent of the code that it checks: split at & and ;, decoded, lower case, up to a bracket
// or NUL, without blanks in front.
func namedAlike(query, name string) []string {
	var found []string
	for _, param := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(param, "=")
		key = strings.ToLower(decodeOnce(strings.ReplaceAll(key, "+", " ")))
		if i := strings.IndexAny(key, "[\x00"); i >= 0 {
			key = key[:i]
		}
		if strings.TrimLeft(key, " ") == name {
			found = append(found, param)
		}
	}
	return found
}

// TestQuery sends the credential's parameter, and one of the operator's, in every disguise.
func TestQuery(t *testing.T) {
	var queries []string
	for _, name := range []string{"api_key", "env"} {
		for _, spelled := range []string{
			name, strings.ToUpper(name), strings.ReplaceAll(name, "_", "%5f"), strings.ReplaceAll(name, "_", "%5F"), name + "[]", name + "[0]",
			name + "[a][b]", name + "%5B%5D", name + "%5b", "+" + name, "%20" + name, "++" + name, name + "%00", name + "%00x", name + "\x00",
			allEscaped(name[:1]) + name[1:], allEscaped(name), strings.ToUpper(allEscaped(name)),
		} {
			for _, list := range []string{
				"%", "%=evil", "%=", "a=1&%=evil", "%=evil&a=1", "a=1&%=evil&b=2", "a=1;%=evil", "%=evil;a=1", "%=evil&%=evil2", "&&%=evil&&", "a&%=evil;%=evil",
				"=&%=evil&=", "%=evil=evil", "a=1&%=evil#x",
			} {
				queries = append(queries, strings.ReplaceAll(list, "%", "\x01"), spelled)
			}
		}
	}
	site := func(api *rig.API) string {
		return "auth api_key api_key ours {\nin query\n}\nquery env prod\n"
	}
	for _, form := range []string{"base URL", "handler alone"} {
		t.Run(form, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			block := "authenticated_api http://" + api.Addr + "/v1/public {\n" + site(api) + "}"
			if form == "handler alone" {
				block = "authenticated_api {\n" + site(api) + "}\nreverse_proxy " + api.Addr
			}
			g := start(t, "", block)
			for _, c := range clients(t, g) {
				var list []string
				for i := 0; i < len(queries); i += 2 {
					list = append(list, strings.ReplaceAll(queries[i], "\x01", queries[i+1]))
				}
				for _, query := range thin(list, 5) {
					r := c.do(request{target: "/x?" + query})
					got := requests(t, api)
					if len(got) == 0 {
						if !r.refused() {
							t.Fatalf("%s %q: the client got %d %v", c.name(), query, r.status, r.err)
						}
						continue
					}
					_, raw, _ := strings.Cut(got[0].target, "?")
					if found := namedAlike(raw, "api_key"); len(found) != 1 || found[0] != "api_key=ours" {
						t.Fatalf("%s %q: the API got %q", c.name(), query, got[0].target)
					}
					if found := namedAlike(raw, "env"); len(found) != 1 || found[0] != "env=prod" {
						t.Fatalf("%s %q: the API got %q", c.name(), query, got[0].target)
					}
				}
				// Parameters that are not ours keep their bytes and their order.
				for _, query := range []string{
					"a=1", "b=2&a=1&b=2", "a", "a=", "=a", "a=b=c", "a=%2F&b=%2f", "a=+&b=%20", "a;b;c", "a=1;b=2", "%zz", "%", "a=%", "a[]=1&a[]=2", "é=1",
					"a=\"b\"", "a=<b>|{c}", "xapi_key=1", "api_keys=1", "api=1&_key=2", "a=api_key=1", "api__key=1", "environment=1", "&", "a&&b", "a=b?c",
					"a=/../..",
				} {
					c.do(request{target: "/x?" + query})
					prefix := "/v1/public"
					if form == "handler alone" {
						prefix = ""
					}
					if got := theRequest(t, api); got.target != prefix+"/x?api_key=ours&env=prod&"+query {
						t.Errorf("%s: the API got %q for %q", c.name(), got.target, query)
					}
				}
				// What would end the target, or the request line, before our parameters is
				// escaped.
				for _, query := range []string{"a=1#b", "#", "a=1 HTTP/1.1", "a=1\tHTTP/1.1", "a=1 HTTP/1.1\r\nX-Evil: evil"} {
					if c.name() == "h1" && strings.Contains(query, "\r\n") {
						continue // which is a header field there, and no attack
					}
					c.do(request{target: "/x?" + query})
					for _, got := range requests(t, api) {
						got.wantNone(t, "X-Evil")
						if !strings.Contains(got.target, "/x?api_key=ours&env=prod&") || strings.ContainsAny(got.target, "# \t") {
							t.Errorf("%s: the API got %q for %q", c.name(), got.target, query)
						}
					}
				}
			}
		})
	}
}

// TestQueryPath hides the parameter where net/url does not look for it.
func TestQueryPath(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", "authenticated_api http://"+api.Addr+"/v1/public {\nauth api_key api_key ours {\nin query\n}\n}")
	for _, c := range clients(t, g) {
		for _, target := range []string{"/x%3Fapi_key=evil", "/x%3fapi_key=evil&", "/x;api_key=evil", "/x#?api_key=evil", "/x%23?api_key=evil"} {
			if r := c.do(request{target: target}); r.status != http.StatusOK && !r.refused() {
				t.Errorf("%s %q: the client got %d %v", c.name(), target, r.status, r.err)
			}
			for _, got := range requests(t, api) {
				_, query, _ := strings.Cut(got.target, "?")
				if found := namedAlike(query, "api_key"); len(found) != 1 || found[0] != "api_key=ours" {
					t.Errorf("%s %q: the API got %q", c.name(), target, got.target)
				}
			}
		}
	}
}

func allEscaped(s string) string {
	var sb strings.Builder
	for i := range len(s) {
		sb.WriteString("%" + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15]))
	}
	return sb.String()
}
