// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// recorder is an API that takes every key, and knows what it was asked.
type recorder struct {
	*httptest.Server

	mu   sync.Mutex
	seen []*http.Request
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	a := new(recorder)
	a.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen = append(a.seen, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// asked returns what the API was asked since the last call.
func (a *recorder) asked() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// TestVerifyCarriesAll: a key is verified with all that requests of its user carry: the header
// fields and parameters of the datasource, those that speak of the user too.
func TestVerifyCarriesAll(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_TENANT", "canary-tenant")
	api := newRecorder(t)
	k := &keyRig{api: api.Server, admin: "off", log: t.TempDir() + "/log"}
	k.start(t, t.TempDir(), `header X-Tenant {env.CANARY_TENANT}
header X-For {http.vars.user}
query api-version 2024-10-01
query on_behalf_of {http.vars.user}
query ?lang en
auth api_key key {
	in query
	connection {http.vars.user} trusted
	verify /me?full=1
}`)
	if res := k.post(t, "ann & bob", "key", "key=canary-%26x", ""); res.StatusCode != 303 {
		t.Fatalf("the browser got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/me?full=1", "X-User: ann & bob\r\n"); res.StatusCode != 200 {
		t.Fatalf("the client got %d %s", res.StatusCode, res.Text)
	}
	seen := api.asked()
	if len(seen) != 2 {
		t.Fatalf("the API was asked %d times", len(seen))
	}
	for _, r := range seen {
		if r.RequestURI != "/v1/me?key=canary-%26x&lang=en&api-version=2024-10-01&on_behalf_of=ann%20%26%20bob&full=1" {
			t.Errorf("the API was asked for %s", r.RequestURI)
		}
		if r.Header.Get("X-Tenant") != "canary-tenant" || r.Header.Get("X-For") != "ann & bob" {
			t.Errorf("the API got %v", r.Header)
		}
	}
}

// TestVerifyPlaceholders: a user's name in the path of verify is a segment and a value, whatever
// it is made of. Where it could be more, nobody is asked, and nothing is kept.
func TestVerifyPlaceholders(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	api := newRecorder(t)
	k := &keyRig{api: api.Server, admin: "off", log: t.TempDir() + "/log"}
	k.start(t, t.TempDir(), "auth bearer {\nconnection {http.vars.user} trusted\nverify /users/{http.vars.user}/me?name={http.vars.user}&x=1\n}")
	for user, path := range map[string]string{
		"ann":              "/v1/users/ann/me",
		"ann@example.com":  "/v1/users/ann@example.com/me",
		"a/b":              "/v1/users/a%2Fb/me",
		"a?admin=1#x":      "/v1/users/a%3Fadmin=1%23x/me",
		"a&admin=1;x=+":    "/v1/users/a&admin=1%3Bx=+/me",
		"a b":              "/v1/users/a%20b/me",
		"%2e%2e":           "",
		"..":               "",
		"../../admin":      "",
		`..\admin`:         "",
		"..;/admin":        "",
		"{env.TEST_KEY}":   "/v1/users/%7Benv.TEST_KEY%7D/me",
		"//evil.example/x": "/v1/users/%2F%2Fevil.example%2Fx/me",
	} {
		res := k.post(t, user, "key", "key=canary", "")
		seen := api.asked()
		if path == "" {
			if res.StatusCode != 502 || len(seen) != 0 || strings.Contains(res.Text, "canary") {
				t.Errorf("%q: the browser got %d, and the API was asked %d times", user, res.StatusCode, len(seen))
			}
			if res := rig.Get(t, k.gateway, "/api/x", "X-User: "+user+"\r\n"); res.StatusCode != 401 {
				t.Errorf("%q: the client got %d", user, res.StatusCode)
			}
			api.asked()
			continue
		}
		if res.StatusCode != 303 || len(seen) != 1 {
			t.Errorf("%q: the browser got %d, and the API was asked %d times", user, res.StatusCode, len(seen))
			continue
		}
		got, query, _ := strings.Cut(seen[0].RequestURI, "?")
		values, err := url.ParseQuery(query)
		if got != path || err != nil || len(values) != 2 || values.Get("name") != user || values.Get("x") != "1" {
			t.Errorf("%q: the API was asked for %s, want %s", user, seen[0].RequestURI, path)
		}
	}
}
