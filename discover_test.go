// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestDiscover: an API's URL is all that an operator writes. Nothing is asked before somebody
// needs it; then each document is asked for once, and the account is connected with a client that
// was registered for it.
func TestDiscover(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.resource["scopes_supported"] = []string{"read"}
		d.metadata["scopes_supported"] = []string{"read", "offline_access"}
	})
	s := d.newSite(t, "authorization_code", "discover")
	if got := d.requests(); len(got) != 0 {
		t.Errorf("loading has asked %q", got)
	}
	s.wants(503, "authorization-required")
	want := []string{"GET api/mcp", "GET api/.well-known/oauth-protected-resource/mcp", "GET as/.well-known/oauth-authorization-server"}
	if got := d.requests(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	s.mustConnect()
	s.wants(200, "served /mcp/x with read offline_access")
	if got := d.requests(); slices.Contains(got, "GET as/.well-known/oauth-authorization-server") || len(d.registrations) != 1 {
		t.Errorf("asked again: %q, registered %d times", got, len(d.registrations))
	}
	auth := last(d, &d.auths)
	for name, want := range map[string]string{
		"client_id": "client-1", "resource": d.api.URL + "/mcp", "scope": "read offline_access", "code_challenge_method": "S256", "prompt": "consent",
		"redirect_uri": s.console + "callback", "response_type": "code",
	} {
		if got := auth.Get(name); got != want {
			t.Errorf("the authorization request has %s=%q, want %q", name, got, want)
		}
	}
	if form := last(d, &d.forms); form.Get("resource") != d.api.URL+"/mcp" || form.Get("code_verifier") == "" {
		t.Errorf("the token request has resource %q", form.Get("resource"))
	}
	registered := last(d, &d.registrations)
	text, _ := json.Marshal(registered)
	for _, part := range []string{
		`"client_name":"Caddy at ` + s.addr + `"`, `"grant_types":["authorization_code","refresh_token"]`, `"application_type":"native"`,
		`"redirect_uris":["` + s.console + `callback"]`, `"response_types":["code"]`, `"token_endpoint_auth_method":"client_secret_basic"`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the registration %s lacks %s", text, part)
		}
	}
	rig.WantLogged(t, s.log, "discovered the provider")
	if entry := rig.WantLogged(t, s.log, "chose how the client is registered"); entry["registration"] != "dynamic" {
		t.Errorf("the log says %v", entry)
	}
	status := statusOf(t, "mcp")
	if found := status.Discovered; found == nil || found.Issuer != d.as.URL || found.Registration != "dynamic" || found.ClientID != "client-1" ||
		found.Because == "" || !slices.Equal(found.Scopes, []string{"read", "offline_access"}) {
		t.Errorf("status says %+v", found)
	}
	if found := status.Discovered; found.TokenURL != d.as.URL+"/token" || found.AuthorizationURL != d.as.URL+"/authorize" ||
		found.RevocationURL != d.as.URL+"/revoke" || found.ClientAuth != "client_secret_basic" || !slices.Equal(found.Resource, []string{d.api.URL + "/mcp"}) ||
		found.PAR || found.DPoP || len(found.WrittenOut) != 0 {
		t.Errorf("status says %+v", found)
	}
	card := s.get("/connect/").text
	for _, fact := range status.Discovered.Facts() {
		if !strings.Contains(card, "<dt>"+fact.Name+"</dt><dd>"+fact.Text+"</dd>") {
			t.Errorf("the card lacks %v: %s", fact, card)
		}
	}
	if !strings.Contains(card, "registered dynamically, client-1, since the provider registers clients") {
		t.Errorf("the card does not say how the client is registered: %s", card)
	}
	if text, err := json.Marshal(status); err != nil || strings.Contains(string(text), canarySecret) {
		t.Errorf("status is %s (%v)", text, err)
	}
	log, err := os.ReadFile(s.log)
	if err != nil || strings.Contains(string(log), canarySecret) || strings.Contains(s.get("/connect/").text, canarySecret) {
		t.Errorf("the registered secret is shown (%v)", err)
	}
}

// TestDiscoverIssuer: with an issuer only its metadata is asked for, and what is written out wins,
// one option at a time.
func TestDiscoverIssuer(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.clients["mine"] = true
		d.metadata["authorization_endpoint"] = "https://elsewhere.example/authorize"
		d.metadata["scopes_supported"] = []string{"offline_access"}
		d.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
		d.metadata["code_challenge_methods_supported"] = nil // not said, for an issuer that the operator has named
	})
	s := d.newSite(t, "authorization_code", "discover AS\nclient_id mine\nclient_secret s3cret-of-mine\nauthorization_url AS/authorize\nscopes one two\nresource https://r.example/")
	s.mustConnect()
	s.wants(200, "with one two")
	auth, form := last(d, &d.auths), last(d, &d.forms)
	if auth.Get("client_id") != "mine" || auth.Get("scope") != "one two" || auth.Get("resource") != "https://r.example/" || form.Get("client_secret") != "s3cret-of-mine" {
		t.Errorf("asked for %v, and redeemed with %v", auth, form)
	}
	for _, request := range d.requests() {
		if strings.HasPrefix(request, "GET api/") && request != "GET api/mcp/x" || strings.HasSuffix(request, "/register") {
			t.Errorf("the gateway has sent %s", request)
		}
	}
}

// TestDiscoverCredentials: client_credentials with a client that is registered for it.
func TestDiscoverCredentials(t *testing.T) {
	d := newDiscoverable(t, nil)
	s := d.newSite(t, "client_credentials", "discover\nclient_name \"The gateway\"")
	s.wants(200, "served /mcp/x")
	if r := last(d, &d.registrations); r["client_name"] != "The gateway" || fmt.Sprint(r["grant_types"]) != "[client_credentials]" || r["redirect_uris"] != nil {
		t.Errorf("registered %v", r)
	}
	if form := last(d, &d.forms); form.Get("resource") != d.api.URL+"/mcp" || form.Get("test_client") != "client-1" {
		t.Errorf("asked for %v", form)
	}
	// The provider has lost its clients: another one is registered, and no caller sees it.
	d.mu.Lock()
	d.clients = make(map[string]bool)
	d.refused["access-1"] = true
	d.mu.Unlock()
	s.wants(200, "served /mcp/x")
	if form := last(d, &d.forms); len(d.registrations) != 2 || form.Get("test_client") != "client-2" {
		t.Errorf("registered %d times, and asked as %s", len(d.registrations), form.Get("test_client"))
	}
}

// TestDiscoverDown: a grant keeps the endpoints that it was made with, so it is renewed while the
// metadata cannot be had, after a restart too.
func TestDiscoverDown(t *testing.T) {
	d := newDiscoverable(t, nil)
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) }
	d.mu.Lock()
	d.pages["/.well-known/oauth-authorization-server"], d.pages["/.well-known/openid-configuration"] = down, down
	d.pages["/.well-known/oauth-protected-resource/mcp"], d.pages["/.well-known/oauth-protected-resource"] = down, down
	d.refused["access-2"] = true
	d.mu.Unlock()
	s.wants(200, "served /mcp/x")
	if form := last(d, &d.forms); form.Get("grant_type") != "refresh_token" || form.Get("resource") != d.api.URL+"/mcp" || form.Get("test_client") != "client-1" {
		t.Errorf("renewed with %v", form)
	}
	s.restart()
	s.wants(200, "served /mcp/x")
	if got := s.send(http.MethodPost, s.console+"mcp/refresh"); got.status != http.StatusSeeOther {
		t.Errorf("Refresh: %d %s", got.status, got.text)
	}
	if got := s.send(http.MethodPost, s.console+"mcp/disconnect"); got.status != http.StatusSeeOther || !slices.Contains(d.requests(), "POST as/revoke") {
		t.Errorf("Disconnect: %d %s", got.status, got.text)
	}
}

// TestDiscoverPruned: a provider prunes its clients. No grant is lost by a mistake: the person is
// told to connect again, and a new client is registered for that.
func TestDiscoverPruned(t *testing.T) {
	d := newDiscoverable(t, nil)
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	d.mu.Lock()
	d.clients = make(map[string]bool)
	d.refused["access-2"] = true
	d.mu.Unlock()
	s.get("/api/x")
	rig.WantLogged(t, s.log, "the provider does not know the registered client any more; it is registered anew")
	s.mustConnect()
	s.wants(200, "served /mcp/x")
	if auth := last(d, &d.auths); len(d.registrations) != 2 || auth.Get("client_id") != "client-2" {
		t.Errorf("registered %d times, and asked as %s", len(d.registrations), auth.Get("client_id"))
	}
}

// TestDiscoverMoved: an API that names another authorization server gets another registration
// there, and nothing of the old one.
func TestDiscoverMoved(t *testing.T) {
	d := newDiscoverable(t, nil)
	other := newDiscoverable(t, nil)
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	s.wants(200, "served")
	d.mu.Lock()
	d.resource["authorization_servers"] = []string{other.as.URL}
	d.pages["/token"] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusServiceUnavailable) }
	d.refused["access-2"] = true
	d.mu.Unlock()
	s.wants(401, "who are you?")
	d.requests()
	s.mustConnect()
	if len(other.registrations) != 1 || len(d.registrations) != 1 {
		t.Errorf("registered %d times there, and %d times here", len(other.registrations), len(d.registrations))
	}
	for _, request := range d.requests() {
		if strings.Contains(request, "as/") && request != "POST as/revoke" {
			t.Errorf("the old server gets %s", request)
		}
	}
}

// TestDiscoverPinned: a client that the operator has registered is not shown to a server that the
// API names later, unless the operator pins it.
func TestDiscoverPinned(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) { d.clients["mine"] = true })
	thief := newDiscoverable(t, func(d *discoverable) { d.clients["mine"] = true })
	s := d.newSite(t, "authorization_code", "discover\nclient_id mine\nclient_secret s3cret-of-mine")
	s.mustConnect()
	d.mu.Lock()
	d.resource["authorization_servers"] = []string{thief.as.URL}
	d.refused["access-2"], d.scopes["refresh-2"] = true, nil
	delete(d.scopes, "refresh-2")
	d.mu.Unlock()
	s.get("/api/x")
	if got := s.connect(); got.status != http.StatusBadGateway || !strings.Contains(got.text, "issuer "+thief.as.URL) {
		t.Errorf("Connect: %d %s", got.status, got.text)
	}
	if len(thief.forms)+len(thief.auths) != 0 {
		t.Errorf("the other server got %v %v", thief.forms, thief.auths)
	}
}

// TestDiscoverPinnedLie: a server that the API names later does not get a client's secret by
// calling itself the issuer that is pinned, neither where that issuer has answered before, nor
// where another one has answered for it.
func TestDiscoverPinnedLie(t *testing.T) {
	for _, pin := range []string{"AS", "https://elsewhere.example"} {
		d := newDiscoverable(t, func(d *discoverable) { d.clients["mine"] = true })
		thief := newDiscoverable(t, func(thief *discoverable) { thief.clients["mine"] = true })
		issuer := strings.Replace(pin, "AS", d.as.URL, 1)
		d.metadata["issuer"], thief.metadata["issuer"] = issuer, issuer
		s := d.newSite(t, "authorization_code", "discover\nissuer "+pin+"\nclient_id mine\nclient_secret s3cret-of-mine")
		s.mustConnect()
		d.mu.Lock()
		d.resource["authorization_servers"] = []string{thief.as.URL}
		d.refused["access-2"] = true
		delete(d.scopes, "refresh-2")
		d.mu.Unlock()
		s.get("/api/x")
		if got := s.connect(); got.status != http.StatusBadGateway || !strings.Contains(got.text, "nothing was sent") {
			t.Errorf("issuer %s: Connect: %d %s", pin, got.status, got.text)
		}
		if len(thief.forms)+len(thief.auths) != 0 {
			t.Errorf("issuer %s: the other server got %v %v", pin, thief.forms, thief.auths)
		}
	}
}

// TestDiscoverWritten: what is written is sent to the first issuer only, also where the client was
// registered and not written.
func TestDiscoverWritten(t *testing.T) {
	t.Setenv("OF_THE_TENANT", "s3cret-of-the-tenant")
	for _, test := range []struct{ grant, lines string }{
		{"password", "username ann\npassword {env.OF_THE_TENANT}\nclient_auth client_secret_basic"},
		{"client_credentials", "token_header X-Tenant-Key {env.OF_THE_TENANT}"},
	} {
		t.Run(test.grant, func(t *testing.T) {
			var got []string
			takes := func(name string) func(d *discoverable) {
				return func(d *discoverable) {
					d.pages["/token"] = func(w http.ResponseWriter, r *http.Request) {
						got = append(got, name+" "+r.FormValue("password")+r.Header.Get("X-Tenant-Key"))
						d.answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 3600}, nil)
					}
				}
			}
			d, thief := newDiscoverable(t, takes("first")), newDiscoverable(t, takes("thief"))
			s := d.newSite(t, test.grant, "discover\n"+test.lines)
			s.get("/api/x")
			d.mu.Lock()
			d.resource["authorization_servers"] = []string{thief.as.URL}
			d.mu.Unlock()
			s.restart()
			s.get("/api/x")
			if st := statusOf(t, "mcp"); !strings.Contains(st.LastDescription, "nothing was sent") {
				t.Errorf("status is %+v", st)
			}
			if want := "first s3cret-of-the-tenant"; len(got) == 0 || got[0] != want || slices.Contains(got, strings.Replace(want, "first", "thief", 1)) {
				t.Errorf("%s: %q", test.grant, got)
			}
		})
	}
}

// TestDiscoverPinnedFixed: an API without any metadata does not get the secret of a client that
// belongs to the issuer that is pinned.
func TestDiscoverPinnedFixed(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.clients["mine"] = true
		d.challenge = "Bearer"
		d.pages["/.well-known/oauth-protected-resource/mcp"] = http.NotFound
		for _, path := range []string{"/authorize", "/token"} {
			d.pages[path] = func(w http.ResponseWriter, r *http.Request) {
				map[string]http.HandlerFunc{"/authorize": d.authorize, "/token": d.token}[r.URL.Path](w, r)
			}
		}
	})
	s := d.newSite(t, "authorization_code", "discover\nissuer AS\nclient_id mine\nclient_secret s3cret-of-mine")
	if got := s.connect(); got.status != http.StatusBadGateway {
		t.Errorf("Connect: %d %s", got.status, got.text)
	}
	if len(d.forms)+len(d.auths) != 0 {
		t.Errorf("the API got %v %v", d.forms, d.auths)
	}
}

// TestDiscoverPinnedElsewhere: token_url alone keeps the client's secret from no other server. The
// one that the API names has it pushed, or gets it with tokens that are revoked.
func TestDiscoverPinnedElsewhere(t *testing.T) {
	var got []string
	d := newDiscoverable(t, func(d *discoverable) { d.clients["mine"] = true })
	thief := newDiscoverable(t, func(thief *discoverable) {
		thief.metadata["require_pushed_authorization_requests"] = true
		thief.metadata["pushed_authorization_request_endpoint"] = thief.as.URL + "/par"
		thief.pages["/par"] = func(w http.ResponseWriter, r *http.Request) {
			_, secret, _ := r.BasicAuth()
			got = append(got, secret)
			http.Error(w, "thanks", http.StatusBadRequest)
		}
	})
	s := d.newSite(t, "authorization_code", "discover\ntoken_url AS/token\nclient_id mine\nclient_secret s3cret-of-mine")
	s.mustConnect()
	d.mu.Lock()
	d.resource["authorization_servers"] = []string{thief.as.URL}
	d.refused["access-2"] = true
	delete(d.scopes, "refresh-2")
	d.mu.Unlock()
	s.get("/api/x")
	if page := s.connect(); page.status != http.StatusBadGateway || !strings.Contains(page.text, "issuer "+thief.as.URL) {
		t.Errorf("Connect: %d %s", page.status, page.text)
	}
	if len(got) != 0 {
		t.Errorf("the other server has got %q", got)
	}
}
