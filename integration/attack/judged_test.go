// SPDX-License-Identifier: Apache-2.0

//go:build linux

package attack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// operators are sets of parameters that an operator has configured. Each parameter has the value
// ours.
var operators = [][]string{
	{"tenant"},
	{"tenant_id"},
	{"api.key"},
	{"Key"},
	{"ids[]"},
	{"filter[tenant]"},
	{"page[size]", "page[number]", "sort"},
	{"a[b][c]", "d-e"},
}

// underJudges starts a gateway with a route for each judge and each set of options, and returns
// the routes' prefixes.
func underJudges(t *testing.T, all []judge, options []string) (g gateway, prefix func(set int, j judge) string) {
	t.Helper()
	var site strings.Builder
	prefix = func(set int, j judge) string { return fmt.Sprintf("/%d-%s", set, j.name) }
	for set, block := range options {
		for _, j := range all {
			fmt.Fprintf(&site, "handle_path %s/* {\nauthenticated_api %s {\nname n%d-%s\nauth api_key X-Api-Key ours\n%s\n}\n}\n",
				prefix(set, j), j.url, set, j.name, block)
		}
	}
	return start(t, "", site.String()), prefix
}

// asked sends a request and returns what the judge has read. served is false if the gateway, or
// the judge's server, has refused the request.
func asked(t *testing.T, c client, req request) (s seen, served bool) {
	t.Helper()
	r := c.do(req)
	if r.status != http.StatusOK {
		if !r.refused() {
			t.Fatalf("%q: the client got %d %v %s", req.target, r.status, r.err, r.body)
		}
		return s, false
	}
	if err := json.Unmarshal([]byte(r.body), &s); err != nil {
		t.Fatalf("%q: %v in %s", req.target, err, r.body)
	}
	return s, true
}

// one returns one of several.
func one(rnd *rand.Rand, of ...string) string { return of[rnd.IntN(len(of))] }

// spelling writes a name in a way that some server may take for the same name.
func spelling(rnd *rand.Rand, name string) string {
	for range rnd.IntN(3) {
		switch rnd.IntN(9) {
		case 0:
			name = one(rnd, strings.ToUpper(name), strings.ToLower(name))
		case 1:
			i := rnd.IntN(len(name) + 1)
			name = name[:i] + one(rnd, "", "%", "%00", "+", ".", "[", "]", "%20", "_", "%09", "%u0061", "=", "?") + name[i:]
		case 2:
			name = one(rnd, "+", "%20", "%09", "%0a", "%00", "?", "[", "]", "[]", ".", "%EF%BB%BF", "[[", "&", ";") + name
		case 3:
			name += one(rnd, "[]", "[0]", "[x]", "[x][y]", "[", "]", "%5B%5D", "%5b", "%00", "%00x", "+", ".", ".x", "%20", "[]x", "[+", "[][", "[x", "[=]")
		case 4:
			base, rest, found := strings.Cut(name, "[")
			name = "[" + base + "]"
			if found {
				name += "[" + rest
			}
		case 5:
			name = strings.NewReplacer("_", one(rnd, ".", "+", "%20", "[", "%2e", "%5b", "_"), ".", one(rnd, "_", "+", "[", ".")).Replace(name)
		case 6:
			name = strings.NewReplacer("[", one(rnd, ".", "%5b", "[", "[[", "[+", "_"), "]", one(rnd, "", "]", "%5D", "]]", "]x")).Replace(name)
		case 7:
			base, _, _ := strings.Cut(name, "[")
			name = base + one(rnd, "", "[]", "[other]", "[0]", "[Tenant]")
		case 8:
			if len(name) > 0 {
				i := rnd.IntN(len(name))
				name = name[:i] + allEscaped(name[i:i+1]) + name[i+1:]
			}
		}
	}
	return name
}

// evilQuery returns a client's query that tries to be read as the operator's. It also has
// keep=mine, which is only the client's.
func evilQuery(rnd *rand.Rand, keys []string) string {
	params := []string{"keep=mine"}
	for range 1 + rnd.IntN(6) {
		param := spelling(rnd, one(rnd, keys...)) + one(rnd, "=evil", "=evil", "=evil", "", "=", "=]=evil", "==evil", "]=evil")
		i := rnd.IntN(len(params) + 1)
		params = append(params[:i], append([]string{param}, params[i:]...)...)
	}
	return strings.Join(params, "&")
}

// TestJudgedQuery checks the property behind all rules about names of parameters: whatever a
// client sends, each parser reads the operator's value, and no other, under the operator's name.
func TestJudgedQuery(t *testing.T) {
	all := judges(t)
	var options []string
	for _, keys := range operators {
		block := ""
		for _, key := range keys {
			block += "query " + key + " ours\n"
		}
		options = append(options, block)
	}
	g, prefix := underJudges(t, all, options)
	c := &h1Client{addr: g.plain}
	t.Cleanup(func() { c.Close() })
	rounds := 300
	if testing.Short() {
		rounds = 10
	}
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, seed))
	for set, keys := range operators {
		for _, j := range all {
			for range rounds {
				query := evilQuery(rnd, keys)
				s, served := asked(t, c, request{target: prefix(set, j) + "/?" + query})
				if !served {
					t.Errorf("%s: %q was refused", j.name, query)
					continue
				}
				for _, key := range keys {
					if got := s.at(j.path(key)); got != "ours" {
						t.Errorf("%s reads %s: %v in %q", j.name, key, got, query)
					}
				}
				if got := s.at(j.path("keep")); got != "mine" {
					t.Errorf("%s reads keep: %v in %q", j.name, got, query)
				}
				if t.Failed() {
					return
				}
			}
		}
	}
}

// TestJudgedFamilies sends clients' parameters that resemble the operator's and must arrive.
func TestJudgedFamilies(t *testing.T) {
	all := judges(t)
	g, prefix := underJudges(t, all, []string{"query filter[tenant] ours\nquery page_size ours\nquery id ours"})
	c := &h1Client{addr: g.plain}
	t.Cleanup(func() { c.Close() })
	for _, j := range all {
		s, served := asked(t, c, request{target: prefix(0, j) + "/?filter[status]=mine&filter[by][name]=mine&page[size]=mine&ids[]=mine&id2=mine&user.id=mine"})
		if !served {
			t.Fatalf("%s refuses", j.name)
		}
		for _, key := range []string{"filter[status]", "filter[by][name]", "page[size]", "ids[]", "id2", "user.id"} {
			path := j.path(key)
			if key == "ids[]" && len(j.path("a[b]")) == 1 {
				path = []string{key}
			}
			if got := s.at(path); got != "mine" {
				t.Errorf("%s reads %s: %v", j.name, key, got)
			}
		}
		for _, key := range []string{"filter[tenant]", "page_size", "id"} {
			if got := s.at(j.path(key)); got != "ours" {
				t.Errorf("%s reads %s: %v", j.name, key, got)
			}
		}
	}
}

// TestJudgedCrowds sends up to thousands of fields and parameters: either the request is refused,
// or the judge reads our values.
func TestJudgedCrowds(t *testing.T) {
	all := judges(t)
	g, prefix := underJudges(t, all, []string{"query tenant ours\nquery filter[tenant] ours\nquery +tag ours\nheader Zz-Tenant ours\nsignature 0123456789abcdef0123456789abcdef"})
	c := &h1Client{addr: g.plain}
	t.Cleanup(func() { c.Close() })
	for _, j := range all {
		for _, n := range []int{20, 80, 99, 100, 200, 250, 256, 500, 899, 900, 990, 997, 998, 999, 1000, 1001, 1023, 1024, 2000} {
			for name, req := range map[string]request{
				"fields":           {fields: fillers(n, "A-%d")},
				"parameters":       {target: "?" + strings.Repeat("a=1&", n-1) + "a=1"},
				"list":             {target: "?" + strings.Repeat("a[]=1&", n-1) + "a[]=1"},
				"empty parameters": {target: "?" + strings.Repeat("&", n-1)},
				"semicolons":       {target: "?a" + strings.Repeat(";a", n-1)},
			} {
				req.target = prefix(0, j) + "/" + req.target
				s, served := asked(t, c, req)
				bound := 900
				if name == "fields" {
					bound = min(250, j.refuses)
				}
				if !served {
					if n <= bound {
						t.Errorf("%s: %d %s are refused", j.name, n, name)
					}
					continue
				}
				for _, key := range []string{"tenant", "filter[tenant]", "tag"} {
					if got := s.at(j.path(key)); got != "ours" {
						t.Errorf("%s reads %s: %v behind %d %s", j.name, key, got, n, name)
					}
				}
				if s.Fields["zz-tenant"] != "ours" || s.Fields["x-api-key"] != "ours" || !strings.HasPrefix(s.Fields["x-appsmith-signature"], "eyJ") {
					t.Errorf("%s has not got the operator's fields behind %d %s", j.name, n, name)
				}
			}
		}
	}
}

// TestJudgedFields sends the operator's header fields in other spellings.
func TestJudgedFields(t *testing.T) {
	all := judges(t)
	g, prefix := underJudges(t, all, []string{"header X-Tenant-Id ours"})
	c := &h1Client{addr: g.plain}
	t.Cleanup(func() { c.Close() })
	for _, j := range all {
		for _, name := range []string{"X-Tenant-Id", "X-Api-Key"} {
			for _, spelled := range spellings(name) {
				for _, fields := range [][][2]string{
					{{spelled, "evil"}}, {{spelled, "evil"}, {"A", "1"}, {spelled, ""}}, append(fillers(60, "A-%d"), [2]string{spelled, "evil"}),
				} {
					s, served := asked(t, c, request{target: prefix(0, j) + "/", fields: fields})
					if !served || s.Fields["x-tenant-id"] != "ours" || s.Fields["x-api-key"] != "ours" {
						t.Errorf("%s, with %q: served %t, the fields %q", j.name, spelled, served, s.Fields)
					}
				}
			}
		}
	}
}
