// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestPAR: where the metadata demands it, the authorization request is pushed (RFC 9126), and the
// browser brings a reference to it and nothing else.
func TestPAR(t *testing.T) {
	var pushed url.Values
	refuse := ""
	d := newDiscoverable(t, func(d *discoverable) {
		d.metadata["require_pushed_authorization_requests"] = true
		d.metadata["pushed_authorization_request_endpoint"] = d.as.URL + "/par"
		d.pages["/par"] = func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			user, secret, _ := r.BasicAuth()
			if user != "client-1" || secret != canarySecret {
				t.Errorf("the client is %q", user)
			}
			if pushed = r.PostForm; refuse != "" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, refuse)
				return
			}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"request_uri":"urn:ietf:params:oauth:request_uri:1","expires_in":60}`)
		}
		d.pages["/authorize"] = func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query(); len(got) != 2 || got.Get("request_uri") != "urn:ietf:params:oauth:request_uri:1" || got.Get("client_id") != "client-1" {
				t.Errorf("the browser brings %v", got)
			}
			r.URL.RawQuery = pushed.Encode()
			d.authorize(w, r)
		}
	})
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	s.wants(200, "served")
	if card := s.get("/connect/").text; !statusOf(t, "mcp").Discovered.PAR || !strings.Contains(card, "pushed to the provider (PAR, RFC 9126)") {
		t.Errorf("nobody sees that the request is pushed: %s", card)
	}
	for _, name := range []string{"state", "code_challenge", "redirect_uri", "resource", "response_type", "client_id"} {
		if pushed.Get(name) == "" {
			t.Errorf("what is pushed lacks %s: %v", name, pushed)
		}
	}
	for _, refuse = range []string{`{"error":"invalid_request"}`, `<html>`, `{"request_uri":""}`} {
		if got := s.connect(); got.status != 503 || strings.Contains(got.text, canarySecret) {
			t.Errorf("%s: %d %s", refuse, got.status, got.text)
		}
	}
	s.wants(200, "served") // the account that is connected stays
}

// TestDPoPDemanded: tokens are bound to a key where the API's metadata demands it, without an
// option; and the client is registered for that.
func TestDPoPDemanded(t *testing.T) {
	for name, demand := range map[string]func(d *discoverable){
		"by the metadata": func(d *discoverable) { d.resource["dpop_bound_access_tokens_required"] = true },
		"by the challenge": func(d *discoverable) {
			d.challenge = `DPoP algs="ES256", resource_metadata="` + d.api.URL + `/.well-known/oauth-protected-resource/mcp"`
		},
	} {
		t.Run(name, func(t *testing.T) {
			var proof string
			d := newDiscoverable(t, func(d *discoverable) {
				demand(d)
				d.clients["client-1"] = true
				d.pages["/token"] = func(w http.ResponseWriter, r *http.Request) {
					proof = r.Header.Get("Dpop")
					fmt.Fprint(w, `{"access_token":"bound","token_type":"DPoP","expires_in":3600}`)
				}
				d.pages["/mcp/x"] = func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprintf(w, "%s %d", r.Header.Get("Authorization"), len(r.Header["Dpop"]))
				}
			})
			s := d.newSite(t, "authorization_code", "discover")
			s.mustConnect()
			s.wants(200, "DPoP bound 1")
			if card := s.get("/connect/").text; !statusOf(t, "mcp").Discovered.DPoP || !strings.Contains(card, "bound to a key (DPoP, RFC 9449)") {
				t.Errorf("nobody sees that tokens are bound: %s", card)
			}
			if r := last(d, &d.registrations); proof == "" || r["dpop_bound_access_tokens"] != true || d.auths[0].Get("dpop_jkt") == "" {
				t.Errorf("the token request has the proof %q, the registration is %v", proof, r)
			}
		})
	}
	d := newDiscoverable(t, func(d *discoverable) {
		d.resource["dpop_bound_access_tokens_required"] = true
		d.metadata["dpop_signing_alg_values_supported"] = []string{"EdDSA"}
	})
	s := d.newSite(t, "authorization_code", "discover")
	if got := s.connect(); got.status != 502 || !strings.Contains(got.text, "ES256 was expected") {
		t.Errorf("a server without ES256: %d %s", got.status, got.text)
	}
}

// TestPARForgotten: a provider that has forgotten the client, and says so when a request is
// pushed, gets it registered anew within the same click.
func TestPARForgotten(t *testing.T) {
	var pushed url.Values
	d := newDiscoverable(t, func(d *discoverable) {
		d.metadata["require_pushed_authorization_requests"] = true
		d.metadata["pushed_authorization_request_endpoint"] = d.as.URL + "/par"
		d.pages["/par"] = func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			d.mu.Lock()
			defer d.mu.Unlock()
			if user, _, _ := r.BasicAuth(); !d.clients[user] {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"error":"invalid_client"}`)
				return
			}
			pushed = r.PostForm
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"request_uri":"urn:x","expires_in":60}`)
		}
		d.pages["/authorize"] = func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = pushed.Encode()
			d.authorize(w, r)
		}
	})
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	d.forget("client-1")
	s.mustConnect()
	s.wants(200, "served")
	if len(d.registrations) != 2 || pushed.Get("client_id") != "client-2" {
		t.Errorf("registered %d times; pushed by %s", len(d.registrations), pushed.Get("client_id"))
	}
	d.mu.Lock()
	d.pages["/par"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
	}
	d.mu.Unlock()
	if got := s.connect(); got.status != 503 || len(d.registrations) != 3 {
		t.Errorf("a provider that knows nobody: %d, registered %d times", got.status, len(d.registrations))
	}
	// It has forgotten four clients in a row then, so the fifth one has to wait.
	s.connect()
	if got := s.connect(); got.status != 502 || len(d.registrations) != 4 || !strings.Contains(got.text, "is not taken any more") {
		t.Errorf("a provider that knows nobody: %d, registered %d times", got.status, len(d.registrations))
	}
}
