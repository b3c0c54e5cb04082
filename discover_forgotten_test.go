// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// sendsBack has the authorization endpoint send people back with an error if it does not know the
// client. known says which it knows.
func (d *discoverable) sendsBack(code string, known func(client string) bool) {
	d.pages["/authorize"] = func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		d.mu.Lock()
		ok := known(q.Get("client_id"))
		d.mu.Unlock()
		if ok {
			d.authorize(w, r)
			return
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"error": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	}
}

// TestForgottenAtAuthorize: a provider that sends people back because it has forgotten the client
// gets it registered anew with the next Connect.
func TestForgottenAtAuthorize(t *testing.T) {
	for _, code := range []string{"unauthorized_client", "invalid_client"} {
		t.Run(code, func(t *testing.T) {
			d := newDiscoverable(t, func(d *discoverable) { d.sendsBack(code, func(client string) bool { return d.clients[client] }) })
			s := d.newSite(t, "authorization_code", "discover")
			s.mustConnect()
			d.forget("client-1")
			if got := s.connect(); got.status != http.StatusBadRequest || !strings.Contains(got.text, "does not know the gateway any more") {
				t.Errorf("%d %s", got.status, got.text)
			}
			if card := s.get("/connect/").text; !strings.Contains(card, "Press Connect again: the gateway then registers itself anew.") {
				t.Errorf("the card does not say what to do: %s", card)
			}
			rig.WantLogged(t, s.log, "the provider does not know the registered client any more; it is registered anew")
			s.mustConnect()
			s.wants(200, "served")
			if auth := last(d, &d.auths); len(d.registrations) != 2 || auth.Get("client_id") != "client-2" {
				t.Errorf("registered %d times, asked as %s", len(d.registrations), auth.Get("client_id"))
			}
			d.forget("client-2") // after an account was connected it counts again
			s.connect()
			s.mustConnect()
			if len(d.registrations) != 3 {
				t.Errorf("registered %d times", len(d.registrations))
			}
		})
	}
}

// TestForgottenOnce: what a browser brings has a client registered anew once, and not again before
// an account was connected; and nothing does that fits no attempt, or is about another matter.
func TestForgottenOnce(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) { d.sendsBack("access_denied", func(string) bool { return false }) })
	s := d.newSite(t, "authorization_code", "discover")
	s.connect()
	s.get("/connect/callback?error=unauthorized_client&state=nobodys")
	s.get("/connect/callback?error=unauthorized_client")
	s.connect()
	if len(d.registrations) != 1 {
		t.Fatalf("registered %d times", len(d.registrations))
	}
	d.mu.Lock()
	d.sendsBack("unauthorized_client", func(string) bool { return false })
	d.mu.Unlock()
	for range 4 {
		if got := s.connect(); got.status != http.StatusBadRequest {
			t.Errorf("%d %s", got.status, got.text)
		}
	}
	if len(d.registrations) != 2 {
		t.Errorf("registered %d times", len(d.registrations))
	}
	if got := s.connect(); !strings.Contains(got.text, "does not let this gateway in") {
		t.Errorf("the second client: %s", got.text)
	}
}

// TestForgottenWrittenOut: a client that the operator has registered is the operator's.
func TestForgottenWrittenOut(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) { d.sendsBack("unauthorized_client", func(string) bool { return false }) })
	s := d.newSite(t, "authorization_code", "discover\nclient_id mine\nclient_secret s3cret")
	if got := s.connect(); !strings.Contains(got.text, "does not let this gateway in") || len(d.registrations) != 0 {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// TestRenamedClient: another client_name registers the client anew, which is what helps where a
// provider shows people a page of its own and never sends them back. The grant that there is
// stays.
func TestRenamedClient(t *testing.T) {
	d := newDiscoverable(t, nil)
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	s.config = strings.Replace(s.config, "discover\n", "discover\nclient_name \"Gateway 2\"\n", 1)
	s.restart()
	s.wants(200, "served")
	if len(d.registrations) != 1 {
		t.Errorf("registered %d times before Connect", len(d.registrations))
	}
	s.mustConnect()
	if r := last(d, &d.registrations); len(d.registrations) != 2 || r["client_name"] != "Gateway 2" || last(d, &d.auths).Get("client_id") != "client-2" {
		t.Errorf("registered %d times, at last %v", len(d.registrations), r)
	}
	s.wants(200, "served")
}
