// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// fillers returns n header fields without a meaning.
func fillers(n int, name string) (fields [][2]string) {
	for i := range n {
		fields = append(fields, [2]string{fmt.Sprintf(name, i), "1"})
	}
	return fields
}

// TestLimits sends so many fields, trailers, cookies and parameters that a server could stop
// reading before it comes to the gateway's. A request just within the limit is the twin.
func TestLimits(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			g := start(t, "", strings.Replace(form.site(api), "auth api_key", "pass_request_header Cookie X-Forwarded-For\nauth api_key", 1))
			for _, c := range clients(t, g) {
				var same [][2]string
				for range 1000 {
					same = append(same, [2]string{"a", "1"})
				}
				var announced []string
				for i := range 1000 {
					announced = append(announced, fmt.Sprintf("t-%d", i))
				}
				for name, test := range map[string]struct {
					req    request
					status int
				}{
					"fields":                  {request{fields: fillers(1000, "a-%d")}, 431},
					"one field many times":    {request{fields: same}, 431},
					"one more than allowed":   {request{fields: fillers(257, "a-%d")}, 431},
					"as many as allowed":      {request{fields: fillers(250, "a-%d")}, 200},
					"fields that are dropped": {request{fields: append(fillers(140, "x-forwarded-a%d"), fillers(140, "sec-fetch-%d")...)}, 200},
					"cookies in one field":    {request{fields: [][2]string{{"cookie", strings.Repeat("a=1; ", 999) + "a=1"}}}, 431},
					"cookies of a browser":    {request{fields: [][2]string{{"cookie", strings.Repeat("a=1; ", 179) + "a=1"}}}, 200},
					"announced trailers": {request{
						method: http.MethodPost, body: "a", fields: [][2]string{{"trailer", strings.Join(announced, ", ")}}, trailers: fillers(1000, "t-%d"),
					}, 431},
					"parameters":          {request{target: "/x?" + strings.Repeat("a=1&", 999) + "a"}, 400},
					"one parameter more":  {request{target: "/x?" + strings.Repeat("a=1&", 900) + "a"}, 400},
					"as many parameters":  {request{target: "/x?" + strings.Repeat("a=1&", 899) + "a"}, 200},
					"empty parameters":    {request{target: "/x?" + strings.Repeat("&", 1000)}, 400},
					"parameters behind ;": {request{target: "/x?a" + strings.Repeat(";a", 1000)}, 400},
					"one long parameter":  {request{target: "/x?a=" + strings.Repeat("1,", 3000)}, 200},
				} {
					if test.req.target == "" {
						test.req.target = "/x"
					}
					r := c.do(test.req)
					if r.status != test.status {
						t.Errorf("%s, %s: the client got %d %v %s", c.name(), name, r.status, r.err, r.body)
					}
					switch test.status {
					case 200:
						got := theRequest(t, api)
						got.wantOne(t, "X-Api-Key", "ours")
						got.wantOne(t, "X-Tag", "tag")
						if !strings.Contains(got.target, "/x?env=prod") {
							t.Errorf("%s, %s: the API got %q", c.name(), name, got.target)
						}
					case 431:
						wantNothing(t, api)
						// HTTP/2 has limits of its own.
						if r.problem() != "too-many-fields" && c.name() == "h1" {
							t.Errorf("%s, %s: the client got %s", c.name(), name, r.body)
						}
					case 400:
						wantNothing(t, api)
						if r.problem() != "too-many-params" {
							t.Errorf("%s, %s: the client got %s", c.name(), name, r.body)
						}
					}
				}
				// Trailers that nobody has announced come when a request can no longer be refused.
				name := "Trailer"
				if c.name() != "h1" {
					name = "trailer"
				}
				c.do(request{
					method: http.MethodPost, target: "/x", body: "a", fields: [][2]string{{name, "t-1"}}, trailers: fillers(1000, "t-%d"),
				})
				for _, got := range requests(t, api) {
					got.wantOne(t, "X-Api-Key", "ours")
					if n := strings.Count(got.body, "\r\nT-"); n > 256 {
						t.Errorf("%s: the API got %d trailers", c.name(), n)
					}
				}
			}
		})
	}
}

// TestLimitsConfigured has limits that the operator has set.
func TestLimitsConfigured(t *testing.T) {
	for option, allowed := range map[string][2]int{
		"max_header_fields 20\nmax_query_params 10":   {20, 10},
		"max_header_fields off\nmax_query_params off": {500, 5000},
	} {
		api := rig.NewAPI(t, nil)
		g := start(t, "", "authenticated_api http://"+api.Addr+" {\nauth bearer ours\n"+option+"\n}")
		c := &h1Client{addr: g.plain}
		for i, over := range []int{0, 1} {
			want := http.StatusOK
			if over > 0 && strings.Contains(option, "20") {
				want = http.StatusRequestHeaderFieldsTooLarge
			}
			if r := c.do(request{target: "/", fields: fillers(allowed[0]+over, "A-%d")}); r.status != want {
				t.Errorf("%q, fields, %d: the client got %d %v", option, i, r.status, r.err)
			}
			if want != http.StatusOK {
				want = http.StatusBadRequest
			}
			if r := c.do(request{target: "/?a" + strings.Repeat("&a", allowed[1]-1+over)}); r.status != want {
				t.Errorf("%q, parameters, %d: the client got %d %v", option, i, r.status, r.err)
			}
		}
		c.Close()
	}
}
