// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"net/http"
	"testing"
)

// TestStepUpEnds: what an API has asked for is asked for again in each consent, until somebody
// disconnects the account: then the scopes begin with what is configured.
func TestStepUpEnds(t *testing.T) {
	for name, elsewhere := range map[string]bool{"on one node": false, "on another node": true} {
		t.Run(name, func(t *testing.T) {
			d := newDiscoverable(t, func(d *discoverable) {
				d.challenge = `Bearer scope="read", resource_metadata="` + d.api.URL + `/.well-known/oauth-protected-resource/mcp"`
			})
			s := d.newSite(t, "authorization_code", "discover")
			asks := func(when, want string) {
				t.Helper()
				s.mustConnect()
				if got := last(d, &d.auths).Get("scope"); got != want {
					t.Errorf("%s: asked for %q, want %q", when, got, want)
				}
			}
			asks("at first", "read")
			d.needs = "write"
			s.wants(503, "authorization-required")
			asks("after the challenge", "read write")
			asks("once more", "read write")
			s.wants(200, "with read write")

			if got := s.send(http.MethodPost, s.console+"mcp/disconnect"); got.status != http.StatusSeeOther {
				t.Fatalf("Disconnect: %d %s", got.status, got.text)
			}
			if elsewhere {
				s.restart()
			}
			asks("after Disconnect", "read")
			asks("once more after Disconnect", "read")
			s.wants(503, "authorization-required") // this process has stored the same wish before
			asks("after another challenge", "read write")
			s.wants(200, "with read write")
		})
	}
}

// TestStepUpOutlivesTheGrant: a grant that the provider has withdrawn takes nothing away: the next
// consent asks for what the API wants.
func TestStepUpOutlivesTheGrant(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.challenge = `Bearer scope="read", resource_metadata="` + d.api.URL + `/.well-known/oauth-protected-resource/mcp"`
	})
	s := d.newSite(t, "authorization_code", "discover")
	s.mustConnect()
	d.needs = "write"
	s.wants(503, "authorization-required")
	d.mu.Lock()
	clear(d.scopes)
	d.mu.Unlock()
	s.get("/api/x") // the refresh token is refused
	s.mustConnect()
	if got := last(d, &d.auths).Get("scope"); got != "read write" {
		t.Errorf("asked for %q", got)
	}
}
