// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// identityProvider is where callers' tokens come from. It notes each token request, with the proof
// that came with it as the parameter test_proof.
func identityProvider(t *testing.T) (address string, forms chan url.Values) {
	t.Helper()
	forms = make(chan url.Values, 10)
	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	t.Cleanup(idp.Close)
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"issuer":"`+idp.URL+`","token_endpoint":"`+idp.URL+`/token","response_types_supported":["code"]}`)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		r.PostForm.Set("test_proof", r.Header.Get("DPoP"))
		forms <- r.PostForm
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"the-id-jag","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A"}`)
	})
	return idp.URL, forms
}

// takesJAG has the API's authorization server take an identity assertion from its client, and the
// API the token that comes of it.
func takesJAG(d *discoverable) {
	d.pages["/token"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		id, secret, _ := r.BasicAuth()
		r.PostForm.Set("test_client", id+":"+secret)
		d.mu.Lock()
		d.forms = append(d.forms, r.PostForm)
		d.mu.Unlock()
		kind := "Bearer"
		if r.Header.Get("DPoP") != "" {
			kind = "DPoP"
		}
		d.answer(w, map[string]any{"access_token": "of-the-api", "token_type": kind, "expires_in": 3600}, nil)
	}
	d.pages["/mcp/x"] = func(w http.ResponseWriter, r *http.Request) {
		proven := map[bool]string{true: " proven"}[r.Header.Get("DPoP") != ""]
		_, _ = io.WriteString(w, "served with "+r.Header.Get("Authorization")+proven)
	}
}

// TestDiscoverSecondLeg: the API names its authorization server. An identity assertion is for that
// server and that API, unless the configuration says something else.
func TestDiscoverSecondLeg(t *testing.T) {
	for name, tt := range map[string]struct{ first, then, served, audience, resource, sent string }{
		"all":        {"token_url IDP/token", "", "Bearer of-the-api", "AS", "API", "API"},
		"both":       {"discover IDP", "", "Bearer of-the-api", "AS", "API", "API"},
		"written":    {"token_url IDP/token\naudience urn:x\nresource urn:y", "resource urn:z", "Bearer of-the-api", "urn:x", "urn:y", "urn:z"},
		"no further": {"token_url IDP/token\nresource off", "resource off", "Bearer of-the-api", "AS", "", ""},
		"bound":      {"token_url IDP/token\ndpop", "", "DPoP of-the-api proven", "AS", "API", "API"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscoverable(t, func(d *discoverable) { takesJAG(d); d.resource["scopes_supported"] = []string{"read"} })
			idp, forms := identityProvider(t)
			s := d.newSite(t, "token_exchange", strings.ReplaceAll(tt.first, "IDP", idp)+"\nclient_id i\nclient_secret s1\n"+
				"subject_token {http.request.header.X-Test-User}\nthen jwt_bearer {\ndiscover\nclient_id mine\nclient_secret s2\n"+tt.then+"\n}")
			s.wants(200, "served with "+tt.served)
			names := strings.NewReplacer("API", d.api.URL+"/mcp", "AS", d.as.URL)
			first, second := <-forms, last(d, &d.forms)
			if first.Get("subject_token") != "ann" || first.Get("audience") != names.Replace(tt.audience) || first.Get("resource") != names.Replace(tt.resource) ||
				first.Has("scope") || first.Get("test_proof") != "" {
				t.Errorf("the identity provider is asked for %v", first)
			}
			if second.Get("assertion") != "the-id-jag" || second.Get("resource") != names.Replace(tt.sent) || second.Get("scope") != "read" ||
				second.Get("test_client") != "mine:s2" {
				t.Errorf("the API's server is asked for %v", second)
			}
		})
	}
}

// TestDiscoverSecondLegMoved: a client that the operator has registered is not shown to a server
// that the API names later, in a second leg neither, and there is no identity assertion for it.
func TestDiscoverSecondLegMoved(t *testing.T) {
	d, thief := newDiscoverable(t, takesJAG), newDiscoverable(t, takesJAG)
	idp, forms := identityProvider(t)
	s := d.newSite(t, "token_exchange", "token_url "+idp+"/token\nsubject_token {http.request.header.X-Test-User}\n"+
		"then jwt_bearer {\ndiscover\nclient_id mine\nclient_secret s2\n}")
	s.wants(200, "served")
	<-forms
	d.mu.Lock()
	d.resource["authorization_servers"] = []string{thief.as.URL}
	d.mu.Unlock()
	s.restart()
	s.wants(502, "discovery-failed")
	if len(forms) != 0 || len(thief.forms) != 0 {
		t.Errorf("the identity provider is asked %d times, and the other server %v", len(forms), thief.forms)
	}
}

// TestDiscoverNamelessMoved: an assertion and a password are no more shown to such a server than a
// client's secret is, although no client_id stands beside them.
func TestDiscoverNamelessMoved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "assertion.jwt")
	if err := os.WriteFile(file, []byte("e30.e30.c2ln"), 0o600); err != nil {
		t.Fatal(err)
	}
	for grant, lines := range map[string]string{
		"jwt_bearer": "assertion_file " + filepath.ToSlash(file), "password": "username ann\npassword p4ss",
		"token_exchange": "subject_token {http.request.header.X-Test-User}",
	} {
		t.Run(grant, func(t *testing.T) {
			d, thief := newDiscoverable(t, takesJAG), newDiscoverable(t, takesJAG)
			d.pages["/mcp/x"] = func(w http.ResponseWriter, r *http.Request) {
				d.mu.Lock()
				refused := d.refused["of-the-api"]
				d.mu.Unlock()
				if refused {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, "served with "+r.Header.Get("Authorization"))
			}
			s := d.newSite(t, grant, "discover\n"+lines)
			s.wants(200, "served with Bearer of-the-api")
			d.mu.Lock()
			d.resource["authorization_servers"] = []string{thief.as.URL}
			d.refused["of-the-api"] = true
			d.mu.Unlock()
			s.restart()
			s.get("/api/x")
			if text, err := os.ReadFile(s.log); err != nil || !strings.Contains(string(text), "discover "+thief.as.URL) {
				t.Errorf("the log does not say how to pin the other server (%v) %s", err, text)
			}
			if len(thief.forms) != 0 {
				t.Errorf("the other server gets %v", thief.forms)
			}
		})
	}
}
