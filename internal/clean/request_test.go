// SPDX-License-Identifier: Apache-2.0

package clean_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

var inHeader = clean.Own{Fields: []string{"X-Api-Key"}}

func cleaner(own clean.Own, pass ...string) *clean.Requests {
	return clean.NewRequests(own, pass)
}

func TestRequestsDrops(t *testing.T) {
	edits := &edit.Edits{
		Set: map[string][]string{"x-set": {"1"}}, Delete: []string{"X-Delete"},
		Add: map[string][]string{"X-Add": {"1"}}, Default: map[string][]string{"X-Default": {"1"}},
	}
	c := cleaner(clean.Own{
		Fields: append(edits.Names(), "X-Api-Key", "X-Appsmith-Signature"),
		Params: (&edit.Edits{Set: map[string][]string{"X-Param": {"1"}}}).Names(),
	})
	for _, name := range []string{
		// ours
		"X-Api-Key", "X-Appsmith-Signature", "X-Set", "X-Delete",
		// in the spellings that CGI and WSGI make X-Api-Key of, as net/http has them in its map
		"X_api_key", "X-Api_key", "X_api-Key", "X_API_KEY", "x_api_key", "X_appsmith_signature", "X_set",
		// withheld
		"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "Via", "Origin", "Referer", "Proxy_authorization",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything", "X_forwarded_for", "X-Forwarded_for",
		"Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec_fetch_mode",
	} {
		if !c.Drops(name) {
			t.Errorf("%s stays", name)
		}
	}
	for _, name := range []string{
		"Accept", "Content-Type", "Content-Length", "Host", "User-Agent", "X-Api-Key-2", "X-Api", "X-Apikey", "X-Add", "X-Default", "X-Param",
		"X-Forwarded", "X-Real-Ip", "Sec-Websocket-Key", "Sec-Fetch", "Authorization-Info", "Cookie2", "My_header", "Trailer", "",
	} {
		if c.Drops(name) {
			t.Errorf("%s is dropped", name)
		}
	}
}

// A name with an underscore is as good as any other (RFC 9110 §5.6.2), and to CGI the same as the
// one with a hyphen.
func TestRequestsUnderscores(t *testing.T) {
	c := cleaner(clean.Own{Fields: []string{http.CanonicalHeaderKey("api_key"), "My_Signature", "x_set", "X_delete_Me"}})
	for _, name := range []string{
		"Api_key", "Api-Key", "api_key", "My_signature", "My-Signature", "X_set", "X-Set", "X_delete_me", "X-Delete_me", "X-Delete-Me",
	} {
		if !c.Drops(http.CanonicalHeaderKey(name)) {
			t.Errorf("%s stays", name)
		}
	}
}

func TestRequestsPass(t *testing.T) {
	for _, tt := range []struct {
		pass          []string
		stays, leaves string // separated by blanks
	}{
		{nil, "", "Authorization Cookie X-Forwarded-For Sec-Fetch-Mode"},
		{[]string{"Authorization"}, "Authorization", "Proxy-Authorization Cookie"},
		{[]string{"cookie", "ORIGIN"}, "Cookie Origin", "Referer"},
		{[]string{"X-Forwarded-For"}, "X-Forwarded-For X_forwarded_for", "X-Forwarded-Host X-Forwarded-Fort"},
		{[]string{"x-forwarded-*"}, "X-Forwarded-For X-Forwarded-Host X_forwarded_for", "Forwarded Sec-Fetch-Mode"},
		{[]string{"Sec-Fetch-*", "Via"}, "Sec-Fetch-Mode Sec-Fetch-Dest Via", "X-Forwarded-For"},
		// Ours are never a client's.
		{[]string{"X-Api-Key", "X-Forwarded-*"}, "X-Forwarded-For", "X-Api-Key X_api_key"},
	} {
		c := cleaner(inHeader, tt.pass...)
		for name := range strings.FieldsSeq(tt.stays) {
			if c.Drops(name) {
				t.Errorf("%v: %s is dropped", tt.pass, name)
			}
		}
		for name := range strings.FieldsSeq(tt.leaves) {
			if !c.Drops(name) {
				t.Errorf("%v: %s stays", tt.pass, name)
			}
		}
	}
	if c := cleaner(clean.Own{Fields: []string{"Authorization"}}, "Authorization"); !c.Drops("Authorization") {
		t.Error("pass_request_header opens the place of the credential")
	}
}

func TestCheckWithheld(t *testing.T) {
	for _, name := range []string{
		"Authorization", "proxy-authorization", "COOKIE", "Forwarded", "Via", "Origin", "Referer",
		"X-Forwarded-*", "x-forwarded-*", "X-Forwarded-For", "x-forwarded-port", "Sec-Fetch-*", "sec-fetch-mode",
	} {
		if err := clean.CheckWithheld(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", "*", "Accept", "X-Forwarded", "X-*", "Authorization*", "X-Forwarded-F r", "X-Forwarded-\n", "{env.A}", "Sec-*",
		"X-Forwarded-P*", // it would open nothing
	} {
		if err := clean.CheckWithheld(name); err == nil || !strings.HasPrefix(err.Error(), "pass_request_header: ") {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

func TestRequestsHeader(t *testing.T) {
	c := cleaner(inHeader)
	dirty := http.Header{"Accept": {"a", "b"}, "X-Api-Key": {"evil"}, "X_api_key": {"evil"}, "Cookie": {"c"}, "X-Nil": nil}
	before := dirty.Clone()
	got := c.Header(dirty)
	if want := (http.Header{"Accept": {"a", "b"}, "X-Nil": nil}); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v", got)
	}
	if !maps.EqualFunc(dirty, before, slices.Equal) {
		t.Errorf("the request's own header was changed: %v", dirty)
	}

	clean := http.Header{"Accept": {"a"}, "User-Agent": {"b"}, "X-Other_name": {"c"}}
	got = c.Header(clean)
	got["X-Same"] = nil
	if _, same := clean["X-Same"]; !same {
		t.Error("a clean header was copied")
	}
	if c.Header(nil) != nil {
		t.Error("no header became one")
	}
}

func TestRequestsQuery(t *testing.T) {
	edits := &edit.Edits{
		Set: map[string][]string{"Tenant ID": {"1"}}, Delete: []string{"debug[]"},
		Add: map[string][]string{"add": {"1"}}, Default: map[string][]string{"page": {"1"}},
	}
	c := cleaner(clean.Own{Params: append(edits.Names(), "api_key")})
	for raw, want := range map[string]string{
		"":                             "",
		"a=1&b=2":                      "a=1&b=2",
		"api_key=evil":                 "",
		"a=1&API%5Fkey[]=evil&b=2":     "a=1&b=2",
		"a=1;api_key=evil":             "a=1",
		"tenant%20id=2&a":              "a",
		"tenant+ID=2&a":                "a",
		"debug=1&debug[]=2&a":          "a",
		"add=2&page=3":                 "add=2&page=3",
		"api-key=1&apikey=2&api_key2":  "api-key=1&apikey=2&api_key2",
		"a=%zz&api_key=1&b=c;d&e=+%20": "a=%zz&b=c;d&e=+%20",
	} {
		if got := c.Query(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
	if got := cleaner(inHeader).Query("x-api-key=1&X-Api-Key=2"); got != "x-api-key=1&X-Api-Key=2" {
		t.Errorf("a header's name was removed from the query: %q", got)
	}
}

func TestRequestsExceeds(t *testing.T) {
	c := cleaner(inHeader)
	h := http.Header{"Accept": {"a", "b"}, "Cookie": {"a=b; c=d; e=f"}, "X-Api-Key": {"1", "2"}, "X_api_key": {"3"}}
	trailer := http.Header{"X-Sum": nil} // announced, without a value yet
	for _, test := range []struct {
		limit int
		want  bool
	}{{1, true}, {2, true}, {3, false}, {9, false}} {
		// The cookies and the gateway's own fields are dropped.
		if got := c.Exceeds(test.limit, h, trailer); got != test.want {
			t.Errorf("more than %d: %t", test.limit, got)
		}
	}
	if c := cleaner(inHeader, "Cookie"); !c.Exceeds(5, h, trailer) || c.Exceeds(6, h, trailer) {
		t.Error("each of the three cookies counts, if they pass")
	}
}

func TestRequestsWithoutOwn(t *testing.T) {
	c := cleaner(inHeader)
	h := http.Header{"Accept": {"a"}, "Cookie": {"a=b"}, "X-Api-Key": {"1"}, "X_api_key": {"2"}}
	if got := strings.Join(slices.Sorted(maps.Keys(c.WithoutOwn(h))), " "); got != "Accept Cookie" || len(h) != 4 {
		t.Errorf("%s is left, of %d", got, len(h))
	}
}

// TestRequestsMapPlaces leaves alone a field that the operator has set or let pass.
func TestRequestsMapPlaces(t *testing.T) {
	base, err := wire.ParseBaseURL("https://api.test/v2")
	if err != nil {
		t.Fatal(err)
	}
	route := &link.Route{Base: base, Hosts: [2]string{"gateway.test"}, Prefix: "/crm", Known: true, Path: "/x"}
	c := cleaner(clean.Own{Fields: []string{"X-Ms-Copy-Source"}}, "X-Amz-Copy-Source")
	const elsewhere = "https://other.test/a"
	h, err := c.MapPlaces(http.Header{"Destination": {"https://gateway.test/crm/y"}, "X-Amz-Copy-Source": {elsewhere}, "X-Ms-Copy-Source": {elsewhere}}, route)
	if err != nil || h.Get("Destination") != "https://api.test/v2/y" || h.Get("X-Amz-Copy-Source") != elsewhere {
		t.Errorf("the API gets %v, %v", h, err)
	}
	if _, err := c.MapPlaces(http.Header{"X-Goog-Copy-Source": {elsewhere}}, route); err == nil || !strings.Contains(err.Error(), "X-Goog-Copy-Source") {
		t.Errorf("a place elsewhere: %v", err)
	}
}

func TestRequestsTrailer(t *testing.T) {
	c := cleaner(inHeader)
	trailer := http.Header{
		"X-Checksum": {"1"}, "Grpc-Status": nil,
		"X-Api-Key": {"evil"}, "X_api_key": {"evil"}, "Authorization": nil, "Cookie": nil, "X-Forwarded-For": nil,
		// RFC 9110 §6.5.1
		"Transfer-Encoding": nil, "Content-Length": nil, "Host": nil, "Content-Encoding": nil, "Content-Type": nil, "Connection": nil,
		"Te": nil, "Trailer": nil, "Upgrade": nil, "Expect": nil,
	}
	if !c.Trailer(trailer) {
		t.Error("nothing is left")
	}
	if got := slices.Sorted(maps.Keys(trailer)); !slices.Equal(got, []string{"Grpc-Status", "X-Checksum"}) {
		t.Errorf("%v are left", got)
	}
	if c.Trailer(http.Header{"X-Api-Key": nil}) || c.Trailer(http.Header{}) || c.Trailer(nil) {
		t.Error("something is left of nothing")
	}
}

func TestRequestsAllocations(t *testing.T) {
	c := cleaner(clean.Own{Fields: []string{"X-Appsmith-Signature", "X-Set"}, Params: []string{"api_key"}})
	h := http.Header{"Accept": {"a"}, "User-Agent": {"b"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"}}
	if n := testing.AllocsPerRun(100, func() { c.Header(h) }); n != 0 {
		t.Errorf("Header: %v allocations", n)
	}
	const raw = "page=2&sort=name%20asc&filter=a|b"
	if n := testing.AllocsPerRun(100, func() { c.Query(raw) }); n != 0 {
		t.Errorf("Query: %v allocations", n)
	}
}

// No header field is left that CGI (RFC 3875 §4.1.18), or a server that turns more than - into _,
// would take for one of ours, and all others are as they were.
func FuzzRequestsHeader(f *testing.F) {
	for _, name := range []string{"X-Api-Key", "x_api_key", "X_Api-Key", "Cookie", "X-Forwarded-For", "sec_fetch_mode", "Accept", "", "X-\xff", "ſet"} {
		f.Add(name, "Accept")
	}
	c := cleaner(clean.Own{Fields: []string{"X-Api-Key", "Api_Sig", "X-Gone"}})
	ours := func(name string) bool {
		meta := strings.ToUpper(regexp.MustCompile(`[^0-9A-Za-z]`).ReplaceAllString(name, "_"))
		switch meta {
		case "X_API_KEY", "API_SIG", "X_GONE", "AUTHORIZATION", "PROXY_AUTHORIZATION", "COOKIE", "FORWARDED", "VIA", "ORIGIN", "REFERER",
			"X_ORIGINAL_URL", "X_REWRITE_URL", "X_METHOD_OVERRIDE":
			return true
		}
		return strings.HasPrefix(meta, "X_FORWARDED_") || strings.HasPrefix(meta, "SEC_FETCH_") || strings.HasPrefix(meta, "X_HTTP_METHOD")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		h := make(http.Header)
		for _, name := range []string{a, b} {
			// net/http refuses requests with other names.
			if name == "" || strings.Trim(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				t.Skip("no name")
			}
			h.Add(name, "value of "+name)
		}
		got := c.Header(h)
		for name := range h {
			values, stays := got[name]
			if stays == ours(name) {
				t.Errorf("%s: stays %t", name, stays)
			}
			if stays && !slices.Equal(values, h[name]) {
				t.Errorf("%s: %q became %q", name, h[name], values)
			}
		}
		if len(got) > len(h) {
			t.Errorf("%v became %v", h, got)
		}
	})
}
