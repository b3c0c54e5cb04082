// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestDiscoverServers: what real servers do, and what the gateway makes of it. Each connects an
// account and serves a request.
func TestDiscoverServers(t *testing.T) {
	const resourceAt = "/.well-known/oauth-protected-resource/mcp"
	for name, test := range map[string]struct {
		lines string // of the oauth2 block; "" for discover
		is    func(d *discoverable)
		check func(t *testing.T, d *discoverable, s *site)
	}{
		// https://accounts.google.com/ in the one document, and without the slash in the other.
		"a slash behind the issuer": {is: func(d *discoverable) {
			d.resource["authorization_servers"] = []string{d.as.URL + "/"}
			d.metadata["authorization_response_iss_parameter_supported"] = true
			d.iss = d.as.URL // what the document says counts
		}},
		"an issuer elsewhere, pinned": {lines: "discover\nissuer https://elsewhere.example", is: func(d *discoverable) {
			d.metadata["issuer"] = "https://elsewhere.example"
		}},
		"one of several servers, pinned": {lines: "discover\nissuer AS", is: func(d *discoverable) {
			d.resource["authorization_servers"] = []string{"https://first.example", d.as.URL + "/"}
		}},
		"an issuer with a path": {is: func(d *discoverable) {
			issuer := d.as.URL + "/t1"
			d.resource["authorization_servers"] = []string{issuer}
			d.pages["/t1/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) {
				d.answer(w, map[string]any{
					"issuer": issuer, "authorization_endpoint": d.as.URL + "/authorize", "token_endpoint": d.as.URL + "/token",
					"registration_endpoint": d.as.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
				}, nil)
			}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			var asked []string
			for _, request := range d.requests() {
				if strings.Contains(request, "as/") && strings.Contains(request, ".well-known") {
					asked = append(asked, strings.TrimPrefix(request, "GET as"))
				}
			}
			want := []string{"/.well-known/oauth-authorization-server/t1", "/.well-known/openid-configuration/t1", "/t1/.well-known/openid-configuration"}
			if !slices.Equal(asked, want) {
				t.Errorf("asked %q, want %q", asked, want)
			}
		}},
		"a resource that covers the base URL": {is: func(d *discoverable) { d.resource["resource"] = d.api.URL + "/" }, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := last(d, &d.auths).Get("resource"); got != d.api.URL+"/" {
				t.Errorf("asked for the resource %q, want it as the document has it", got)
			}
		}},
		// A server behind a proxy names an address that it has there.
		"a named address that is of no use": {is: func(d *discoverable) {
			d.challenge = `Bearer resource_metadata="http://mcp.internal/.well-known/oauth-protected-resource"`
		}},
		"no named address": {is: func(d *discoverable) { d.challenge = `Bearer scope="a b"` }, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := last(d, &d.auths).Get("scope"); got != "a b" {
				t.Errorf("asked for %q, want what the challenge says", got)
			}
		}},
		"the challenge's scope before the document's": {is: func(d *discoverable) {
			d.challenge = `Bearer scope="a", resource_metadata="` + d.api.URL + resourceAt + `"`
			d.resource["scopes_supported"] = []string{"x", "y"}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := last(d, &d.auths).Get("scope"); got != "a" {
				t.Errorf("asked for %q, want a", got)
			}
		}},
		"an older server with metadata": {is: func(d *discoverable) {
			d.challenge = "Bearer"
			d.pages[resourceAt] = http.NotFound
			d.pages["/.well-known/oauth-authorization-server"] = func(w http.ResponseWriter, _ *http.Request) {
				d.answer(w, map[string]any{
					"issuer": d.api.URL, "authorization_endpoint": d.as.URL + "/authorize", "token_endpoint": d.as.URL + "/token",
					"registration_endpoint": d.as.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
				}, nil)
			}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := last(d, &d.auths).Get("resource"); got != d.api.URL+"/mcp" {
				t.Errorf("asked for the resource %q", got)
			}
		}},
		"an older server with nothing": {is: func(d *discoverable) {
			d.challenge = "Bearer"
			d.pages[resourceAt] = http.NotFound
			for _, path := range []string{"/authorize", "/token", "/register"} {
				d.pages[path] = func(w http.ResponseWriter, r *http.Request) {
					map[string]http.HandlerFunc{"/authorize": d.authorize, "/token": d.token, "/register": d.register}[r.URL.Path](w, r)
				}
			}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := d.requests(); !slices.Contains(got, "GET api/authorize") || !slices.Contains(got, "POST api/token") || !slices.Contains(got, "POST api/register") {
				t.Errorf("the fixed paths of the API are not asked: %q", got)
			}
		}},
		"an API that knows POST only": {is: func(d *discoverable) {
			d.pages["/mcp"] = func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost {
					http.Error(w, "POST only", http.StatusMethodNotAllowed)
					return
				}
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+d.api.URL+`/custom.json"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
			d.pages[resourceAt] = http.NotFound
			d.pages["/custom.json"] = func(w http.ResponseWriter, _ *http.Request) {
				d.answer(w, map[string]any{"resource": d.api.URL + "/mcp", "authorization_servers": []string{d.as.URL}}, nil)
			}
		}},
		// Customer.io, Dropbox and Mirakl answer 400.
		"no resource": {lines: "discover\nresource off", check: func(t *testing.T, d *discoverable, s *site) {
			s.send(http.MethodPost, s.console+"mcp/refresh")
			if d.auths[0].Has("resource") || d.forms[0].Has("resource") || d.forms[1].Has("resource") {
				t.Errorf("resource is sent: %v %v", d.auths, d.forms)
			}
		}},
		"a resource for refreshes too": {check: func(t *testing.T, d *discoverable, s *site) {
			s.send(http.MethodPost, s.console+"mcp/refresh")
			if got := last(d, &d.forms); got.Get("grant_type") != "refresh_token" || got.Get("resource") != d.api.URL+"/mcp" {
				t.Errorf("refreshed with %v", got)
			}
		}},
		// Stripe takes public clients only.
		"public clients": {is: func(d *discoverable) { d.metadata["token_endpoint_auth_methods_supported"] = []string{"none"} }, check: func(t *testing.T, d *discoverable, _ *site) {
			form := last(d, &d.forms)
			if r := last(d, &d.registrations); r["token_endpoint_auth_method"] != "none" || form.Get("client_id") != "client-1" || form.Has("client_secret") {
				t.Errorf("registered %v, redeemed with %v", r, form)
			}
		}},
		"secrets in the body": {is: func(d *discoverable) {
			d.metadata["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt", "client_secret_post"}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			if form := last(d, &d.forms); form.Get("client_secret") != canarySecret {
				t.Errorf("redeemed with %v", form)
			}
		}},
		"offline_access is not listed": {is: func(d *discoverable) { d.resource["scopes_supported"] = []string{"a"} }, check: func(t *testing.T, d *discoverable, _ *site) {
			if got := last(d, &d.auths).Get("scope"); got != "a" {
				t.Errorf("asked for %q", got)
			}
		}},
		"no S256, and pkce written out": {lines: "discover\npkce S256", is: func(d *discoverable) { d.metadata["code_challenge_methods_supported"] = nil }},
		"an issuer with plain PKCE only": {lines: "discover AS", is: func(d *discoverable) {
			d.metadata["code_challenge_methods_supported"] = []string{"plain"}
		}, check: func(t *testing.T, d *discoverable, _ *site) {
			if d.auths[0].Has("code_challenge") {
				t.Error("a challenge was sent to a server that does not know S256")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscoverable(t, test.is)
			lines := test.lines
			if lines == "" {
				lines = "discover"
			}
			s := d.newSite(t, "authorization_code", lines)
			s.mustConnect()
			s.wants(200, "served /mcp/x")
			if test.check != nil {
				test.check(t, d, s)
			}
		})
	}
}

// TestIssuerOfCallback: a callback names the issuer if the metadata promises it, and never another
// one (RFC 9207). What a wrong one says is not shown.
func TestIssuerOfCallback(t *testing.T) {
	for _, test := range []struct {
		promised bool
		iss      string // - for none
		want     bool
	}{
		{true, "AS", true},
		{true, "-", false},
		{true, "AS/", false},
		{true, "https://evil.example", false},
		{false, "-", true},
		{false, "AS", true},
		{false, "https://evil.example", false},
	} {
		d := newDiscoverable(t, func(d *discoverable) {
			d.metadata["authorization_response_iss_parameter_supported"] = test.promised
			d.iss = strings.ReplaceAll(test.iss, "AS", d.as.URL)
		})
		s := d.newSite(t, "authorization_code", "discover")
		got := s.connect()
		if connected := got.status == http.StatusSeeOther; connected != test.want || connected != (len(d.forms) == 1) {
			t.Errorf("promised %v, iss %s: %d, and %d codes were redeemed", test.promised, test.iss, got.status, len(d.forms))
		}
	}
}

// TestStepUp: an API that asks for more scopes gets them by another consent, with those before,
// and no refresh is tried for that. The same scopes are asked for three times at most; then the
// API's own answer passes.
func TestStepUp(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.more = "refresh_on 401 403"
		d.challenge = `Bearer scope="read", resource_metadata="` + d.api.URL + `/.well-known/oauth-protected-resource/mcp"`
	})
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	s.wants(200, "with read")
	d.needs = "write"
	got := s.get("/api/x")
	if got.status != 503 || got.problem() != "authorization-required" || !strings.Contains(got.text, s.console) {
		t.Fatalf("the caller gets %d %s", got.status, got.text)
	}
	if form := last(d, &d.forms); form.Get("grant_type") == "refresh_token" {
		t.Error("insufficient_scope has caused a refresh")
	}
	s.restart() // another node would know it too
	s.mustConnect()
	if got := last(d, &d.auths).Get("scope"); got != "read write" {
		t.Errorf("asked for %q, want the union", got)
	}
	s.wants(200, "with read write")

	d.needs = "never" // granted in name only
	d.mu.Lock()
	d.pages["/mcp/x"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", d.challenged(`error="insufficient_scope", scope="never", `))
		http.Error(w, "too little", http.StatusForbidden)
	}
	before := len(d.auths)
	d.mu.Unlock()
	for s.get("/api/x").problem() == "authorization-required" {
		if len(d.auths)-before > 5 {
			t.Fatal("there is no end")
		}
		s.mustConnect()
	}
	if n := len(d.auths) - before; n != 3 {
		t.Errorf("the person was asked %d times", n)
	}
	s.wants(403, "too little")
}

// TestClientDocument: the console serves what the gateway says of itself as a client, to
// everybody; and a server that takes its address as a client_id gets that.
func TestClientDocument(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) { d.metadata["client_id_metadata_document_supported"] = true })
	s := d.newSite(t, "authorization_code", "discover\nclient_name \"Our gateway\"\nredirect_url https://gw.example/connect/callback")
	res := rig.Get(t, s.addr, "/connect/client.json", "") // without a user
	var doc map[string]any
	if err := json.Unmarshal([]byte(res.Text), &doc); err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", res.StatusCode, err, res.Text)
	}
	want := map[string]any{
		"client_id": "https://gw.example/connect/client.json", "client_name": "Our gateway", "redirect_uris": []any{"https://gw.example/connect/callback"},
		"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "token_endpoint_auth_method": "none",
		"application_type": "web",
	}
	if fmt.Sprint(doc) != fmt.Sprint(want) {
		t.Errorf("the document is %v, want %v", doc, want)
	}
	s.host = "gw.example"
	got := s.send(http.MethodPost, s.console+"mcp/connect")
	if to := got.header.Get("Location"); got.status != http.StatusSeeOther || !strings.Contains(to, "client_id=https%3A%2F%2Fgw.example%2Fconnect%2Fclient.json") {
		t.Errorf("%d: the browser is sent to %s", got.status, to)
	}
	if got := s.send(http.MethodPost, s.console+"client.json"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
	if len(d.registrations) != 0 {
		t.Errorf("registered %v", d.registrations)
	}
}

// TestRegistrationOrder: the operator's order counts, and what the provider does not offer is
// passed over.
func TestRegistrationOrder(t *testing.T) {
	for _, test := range []struct {
		order     string
		documents bool
	}{
		{"registration dynamic metadata_document", true}, {"registration dynamic", true}, {"registration metadata_document dynamic", false}, {"", false},
	} {
		d := newDiscoverable(t, func(d *discoverable) { d.metadata["client_id_metadata_document_supported"] = test.documents })
		s := d.newSite(t, "authorization_code", "discover\nredirect_url https://gw.example/connect/callback\n"+test.order)
		s.host = "gw.example"
		s.send(http.MethodPost, s.console+"mcp/connect")
		if len(d.registrations) != 1 {
			t.Errorf("%q: registered %d times", test.order, len(d.registrations))
		}
		if res := rig.Get(t, s.addr, "/connect/client.json", ""); (res.StatusCode == 200) != (test.order != "registration dynamic") {
			t.Errorf("%q: the document is answered with %d", test.order, res.StatusCode)
		}
	}
}
