// SPDX-License-Identifier: Apache-2.0

package clean_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// responses is for answers of an API whose credential is in carried. pass are fields that the
// caller may see, if withheld.
func responses(carried clean.Carried, pass ...string) *clean.Responses {
	own := clean.Own{Fields: carried.Fields, Params: carried.Params}
	return clean.NewResponses(carried, clean.NewRequests(own, nil), pass)
}

func TestResponsesHeader(t *testing.T) {
	key := clean.Carried{Fields: []string{"X-Api-Key", ""}}
	for _, test := range []struct {
		carried clean.Carried
		pass    []string
		names   string // of the fields that the API sends
		want    string // of those that the caller gets, sorted
	}{
		{clean.Carried{}, nil, "Etag Vary X-Total", "Etag Vary X-Total"},
		{clean.Carried{}, nil, "Etag Set-Cookie Strict-Transport-Security Alt-Svc Clear-Site-Data Access-Control-Allow-Origin", "Etag"},
		{clean.Carried{}, nil, "X-Accel-Redirect X-Sendfile X-Sendfile-Type Fly-Replay-Cache X-Accel-Buffering", "X-Accel-Buffering"},
		{clean.Carried{}, []string{"set-cookie", "X-Sendfile"}, "Set-Cookie X-Sendfile X-Sendfile-Type", "Set-Cookie X-Sendfile"},
		{clean.Carried{}, []string{"x-accel-*"}, "X-Accel-Redirect X-Accel-Expires X-Accel-Buffering X-Sendfile", "X-Accel-Buffering X-Accel-Expires X-Accel-Redirect"},
		// Without a credential of the gateway these are for the caller.
		{clean.Carried{}, nil, "Authentication-Info X-Api-Key", "Authentication-Info X-Api-Key"},
		{key, nil, "Authentication-Info Authorization X-Api-Key Etag", "Etag"},
		{clean.Carried{Params: []string{"api_key"}}, nil, "Authentication-Info Etag", "Etag"},
		{clean.Carried{Cookies: []string{"sid"}}, nil, "Authentication-Info Etag", "Etag"},
		{clean.Carried{InPath: true}, nil, "Authentication-Info Etag", "Etag"},
	} {
		h := make(http.Header)
		for name := range strings.FieldsSeq(test.names) {
			h[name] = []string{"a"}
		}
		responses(test.carried, test.pass...).Header(h)
		if got := strings.Join(slices.Sorted(maps.Keys(h)), " "); got != test.want {
			t.Errorf("of %s the caller gets %q, want %q", test.names, got, test.want)
		}
	}
}

func TestCheckWithheldResponse(t *testing.T) {
	for name, want := range map[string]string{
		"set-cookie": "", "X-Accel-Redirect": "", "X-Sendfile": "", "WWW-Authenticate": "",
		"Access-Control-Allow-Origin": "see allow_origin", "Authentication-Info": "see pass_request_header", "X-Total": "needs no permission", "X-Sendfile*x": "needs no permission",
	} {
		err := clean.CheckWithheldResponse(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestOwnRules: gateways are made at once, share their tables, and each has its own rules. None
// writes to the tables (with -race this fails).
func TestOwnRules(t *testing.T) {
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			own := fmt.Sprint("X-Own-", i)
			passed := [][]string{nil, {"Cookie"}, {"X-Forwarded-*"}, {"Sec-Fetch-*", "Authorization"}}[i%4]
			passedBack := [][]string{nil, {"Set-Cookie"}, {"X-Accel-*"}, {"WWW-Authenticate", "Fly-Replay*"}}[i%4]
			requests := clean.NewRequests(clean.Own{Fields: []string{own, "Origin"}}, passed)
			responses := clean.NewResponses(clean.Carried{Fields: []string{own}}, requests, passedBack)
			for field, keeper := range map[string]int{"Cookie": 1, "X-Forwarded-For": 2, "Sec-Fetch-Mode": 3, "Authorization": 3, "Origin": -1, own: -1} {
				if drops := requests.Drops(field); drops == (keeper == i%4) {
					t.Errorf("%d: %s to the API: dropped is %t", i, field, drops)
				}
			}
			for field, keeper := range map[string]int{"Set-Cookie": 1, "X-Accel-Redirect": 2, "Fly-Replay": 3, "X-Sendfile": -1, own: -1} {
				if drops := responses.Drops(field); drops == (keeper == i%4) {
					t.Errorf("%d: %s to the caller: dropped is %t", i, field, drops)
				}
			}
			if other := fmt.Sprint("X-Own-", i+1); requests.Drops(other) || responses.Drops(other) {
				t.Errorf("%d: %s of another gateway is dropped", i, other)
			}
		})
	}
	all.Wait()
}

// TestResponsesLinks removes the credential's parameter from the URLs of answers.
func TestResponsesLinks(t *testing.T) {
	sent := &clean.Sent{Secrets: secret.Lists{{"canary-7731"}}, Hosts: [3]string{"api.test"}}
	for _, test := range []struct{ ref, want string }{
		{"https://api.test/x?api_key=a&page=2", "https://api.test/x?page=2"},
		{"/x?API%5fKEY[]=a", "/x"},
		{"/x?page=2&api_key=a#api_key=a", "/x?page=2#"},
		{"/login?next=%2Fy%3Fapi_key%3Da%26b", "/login?next=%2Fy%3Fb"},
		{"https://api.test/canary-7731/x", "https://api.test/x"},
		{"https://api.test/x;canary%2D7731;y", "https://api.test/x;y"},
		{"//api.test/canary-7731", "//api.test/"},
		// There the parameter is somebody else's, unless it shows the secret.
		{"https://other.test/?api_key=a", "https://other.test/?api_key=a"},
		{"https://other.test/?api_key=a&b=canary-7731", "https://other.test/?api_key=a"},
		{"/x?page=2", "/x?page=2"},
	} {
		h := http.Header{"Location": {test.ref}, "X-Other": {test.ref}}
		responses(clean.Carried{Params: []string{"api_key"}}).Links(h, sent, nil)
		if got := h.Get("Location"); got != test.want || h.Get("X-Other") != test.ref {
			t.Errorf("%q becomes %q, want %q", test.ref, got, test.want)
		}
	}
}

// TestResponsesLinksMapped has links and cookies mapped along a route, after the credential is
// gone.
func TestResponsesLinksMapped(t *testing.T) {
	base, err := wire.ParseBaseURL("https://api.test/v2")
	if err != nil {
		t.Fatal(err)
	}
	route := &link.Route{Base: base, Origin: "https://gateway.test", Prefix: "/crm", Known: true, Path: "/x", Sent: base.Join(&url.URL{Path: "/x"})}
	h := http.Header{"Location": {"https://api.test/v2/y?api_key=a"}, "Set-Cookie": {"a=b; Path=/v2"}}
	responses(clean.Carried{Params: []string{"api_key"}}).Links(h, &clean.Sent{Hosts: [3]string{"api.test"}}, route)
	if h.Get("Location") != "https://gateway.test/crm/y" || h.Get("Set-Cookie") != "a=b; Path=/crm" {
		t.Errorf("the caller gets %v", h)
	}
}

// TestResponsesSecrets has fields that show what the request has carried.
func TestResponsesSecrets(t *testing.T) {
	cleaner := responses(clean.Carried{Secrets: []string{"value-of-an-edit"}})
	sent := &clean.Sent{Secrets: secret.Lists{{"canary-7731"}}, Hosts: [3]string{"api.test"}}
	for _, test := range []struct{ sent, want []string }{
		{[]string{"nothing of ours"}, []string{"nothing of ours"}},
		{[]string{"canary-7731"}, nil},
		{[]string{"you sent canary-7731"}, nil},
		{[]string{`{"key":"canary%2d7731"}`}, nil},
		{[]string{"a", "you sent value-of-an-edit", "b"}, []string{"a", "b"}},
		{[]string{"https://api.test/x?a=canary-7731&b=c"}, []string{"https://api.test/x?b=c"}},
		{[]string{"https://canary-7731.test/x"}, nil},
	} {
		h := http.Header{"X-Echo": slices.Clone(test.sent)}
		if cleaner.Secrets(h, sent); !slices.Equal(h["X-Echo"], test.want) {
			t.Errorf("%q becomes %q, want %q", test.sent, h["X-Echo"], test.want)
		}
	}
	cleaner.SetSecrets([]string{"value-of-the-next-edit"})
	h := http.Header{"A": {"value-of-an-edit"}, "B": {"value-of-the-next-edit"}}
	if cleaner.Secrets(h, sent); len(h["A"]) != 1 || len(h["B"]) != 0 {
		t.Errorf("with other secrets the caller gets %v", h)
	}
}

func TestResponsesAllocations(t *testing.T) {
	own := []string{"X-Appsmith-Signature", "Authorization"}
	cleaner := clean.NewResponses(clean.Carried{Fields: own, Secrets: []string{"value-of-an-edit"}}, clean.NewRequests(clean.Own{Fields: own}, nil), nil)
	sent := &clean.Sent{Secrets: secret.Lists{secret.Of("token-of-the-gateway"), secret.Of("demo"), {"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVk"}}}
	h := http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`W/"0123456789abcdef0123456789abcdef"`}, "X-Total": {"42"},
		"X-Next": {"https://api.example.com/items?cursor=eyJhbGciOiJIUzI1NiJ9.e30.b3RoZXI%3D&next=%252Fa%2520b+c"}, "X-Page": {"democracy%20demo_"},
	}
	if n := testing.AllocsPerRun(100, func() {
		cleaner.Header(h)
		cleaner.Secrets(h, sent)
	}); n != 0 {
		t.Errorf("%v allocations for an answer that shows nothing", n)
	}
	if len(h) != 5 {
		t.Errorf("of the fields %v are left", h)
	}
}

// FuzzResponsesLinks looks for a URL that an API can send so that the credential comes through.
func FuzzResponsesLinks(f *testing.F) {
	for _, ref := range []string{
		"https://api.test/v1/public/x?api_key=s&page=2", "/v1/public//evil.test", "/v1/public/..//evil.test", "//api.test/v1/public/%2e%2e/x", `\\evil.test`,
		"https://api.test/v1/public;x", "https://api.test:443/v1/public?API%5fKEY[]=s", "?a=b;api_key=s#x?api_key=s", "/v1/public/x?next=%2Fy%3Fapi_key%3Ds", "http:/v1/public",
		"/v1/public/canary%2D7731/x", "https://other.test/?api_key=canary-7731&api_key=x", "/x;canary-7731?next=a%3Dcanary-7731%26b#canary-7731", "/v1/public/\t/evil.test", "https://api.test/v1/public/?a=%", "https:///v1/public/x", "https://api.test//v1/public/x", "/v1/public/./../public/x",
	} {
		f.Add(ref)
	}
	cleaner := responses(clean.Carried{Params: []string{"api_key"}})
	sent := &clean.Sent{Secrets: secret.Lists{{"canary-7731"}}, Hosts: [3]string{"api.test"}}
	f.Fuzz(func(t *testing.T, ref string) {
		if strings.ContainsAny(ref, "\r\n\x00") {
			return
		}
		h := http.Header{"Location": {ref}}
		cleaner.Links(h, sent, nil)
		if got := h.Get("Location"); len(h["Location"]) != 1 || hasParameter(got) && !elsewhere(ref) {
			t.Errorf("%q: the credential's parameter came through: %q", ref, got)
		}
		cleaner.Secrets(h, sent)
		if got := h.Get("Location"); strings.Contains(rig.Unescape(rig.Unescape(got)), "canary-7731") || strings.Contains(got, "canary-7731") {
			t.Errorf("%q: the credential came through: %q", ref, got)
		}
	})
}

// elsewhere reports whether a URL is not the API's. Such a URL may have a parameter of the
// credential's name for another purpose.
func elsewhere(ref string) bool {
	u, err := url.Parse(ref)
	return err == nil && (u.Scheme != "" || u.Host != "") && u.Hostname() != "api.test"
}

// hasParameter reports whether some server reads the parameter api_key in the query of a URL. It
// is independent of the code that it checks: the query is split at & and ;, and a name is decoded,
// in lower case, up to a bracket or NUL, without blanks in front.
func hasParameter(ref string) bool {
	before, _, _ := strings.Cut(ref, "#")
	_, query, _ := strings.Cut(before, "?")
	for _, param := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(param, "=")
		key = strings.ToLower(rig.Unescape(strings.ReplaceAll(key, "+", " ")))
		if i := strings.IndexAny(key, "[\x00"); i >= 0 {
			key = key[:i]
		}
		if strings.TrimLeft(key, " ") == "api_key" {
			return true
		}
	}
	return false
}
