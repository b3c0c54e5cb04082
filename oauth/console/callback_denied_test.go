// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestDenied has a provider send a browser back with an error. The words on the page are ours,
// whatever the provider sends.
func TestDenied(t *testing.T) {
	const hostile = `"><script>alert(1)</script>{{.}}`
	for code, title := range map[string]string{
		"access_denied":           "You declined",
		"server_error":            "The provider failed",
		"temporarily_unavailable": "The provider is busy",
		"invalid_scope":           "The provider does not grant this",
		"something_else":          "The provider did not connect the account",
		hostile:                   "The provider did not connect the account",
	} {
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		state, cookie := g.connect("ann", "", "crm")
		ds.take()
		a := g.do(ask{
			user: "ann", cookies: []*http.Cookie{cookie},
			path: back(state, "error", code, "error_description", "DESCRIPTION"+hostile, "error_uri", "https://evil.example/URI", "code", "c"),
		}).is(400).says(title)
		shown := code
		if strings.HasPrefix(title, "The provider did not") && code == hostile {
			shown = codeOther
		}
		ds.called(t, `denied "" "`+shown+`"`)
		body := a.Body.String()
		for _, word := range []string{"script", "DESCRIPTION", "evil.example", "something_else", state} {
			if strings.Contains(body, word) {
				t.Errorf("%s: the page has %q in it", code, word)
			}
		}
		if got := a.expired(); len(got) != 1 || got[0] != cookie.Name {
			t.Errorf("%s: the cookies %q are expired", code, got)
		}
		g.silent(state, cookie.Value, "evil.example")
		lines := g.logs.FilterMessage("the provider did not connect an account").All()
		if len(lines) != 1 || !strings.HasPrefix(fmt.Sprint(lines[0].ContextMap()["error_description"]), "DESCRIPTION") {
			t.Errorf("%s: the log does not say what the provider has: %v", code, lines)
		}
	}
}

// TestForgotten: where the client is registered anew, the page and the card say what to do.
func TestForgotten(t *testing.T) {
	ds := &fake{name: "crm", forgets: true}
	g := newBed(t, ds)
	state, cookie := g.connect("ann", "", "crm")
	g.do(ask{user: "ann", cookies: []*http.Cookie{cookie}, path: back(state, "error", "unauthorized_client")}).is(400).
		says("The provider does not know the gateway any more").shows("Press Connect again").hides("allow the authorization code grant")
	ds.status = &connection.Status{State: connection.StateNone, FailedConnect: &connection.FailedConnect{
		At: *since(time.Minute), Error: "unauthorized_client", Denied: true, ClientGone: true,
	}}
	g.do(ask{user: "ann", path: "/connect/"}).is(200).shows("The provider does not know the gateway any more", "Press Connect again").
		hides("allow the authorization code grant")
}
