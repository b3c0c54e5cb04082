// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestNotRedeemed sends codes that the provider does not accept.
func TestNotRedeemed(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		words  string
	}{
		"used":            {&provider.Error{Status: 400, Code: "invalid_grant"}, 502, "does not accept the code"},
		"wrong secret":    {&provider.Error{Status: 401, Code: "invalid_client"}, 502, "client id and secret"},
		"at GitHub":       {&provider.Error{Status: 200, Code: "incorrect_client_credentials"}, 502, "client id and secret"},
		"at Slack":        {&provider.Error{Status: 200, Code: "bad_client_secret"}, 502, "client id and secret"},
		"unknown code":    {&provider.Error{Status: 400, Code: "strange"}, 502, "a reason that this gateway does not know"},
		"busy":            {&provider.Error{Status: 503, Code: "temporarily_unavailable"}, 502, "The provider is busy."},
		"down":            {&provider.Error{Host: "provider.example", Err: errors.New("dial tcp: refused")}, 502, "could not be reached"},
		"nonsense":        {&provider.Error{Status: 200, Err: errors.New("no JSON")}, 502, "no answer that the gateway can use"},
		"slow":            {context.DeadlineExceeded, 502, "did not answer in time"},
		"key missing":     {record.ErrKeyMissing, 502, "a key that this gateway lacks"},
		"storage":         {errors.New("read-only file system"), 502, "storage"},
		"the ticket used": {oauth.ErrTicketUsed, 400, "connects an account once"},
		"overtaken":       {connection.ErrOvertaken, 409, "was given back to the provider"},
	} {
		t.Run(name, func(t *testing.T) {
			ds := &fake{name: "crm"}
			g := newBed(t, ds)
			state, cookie := g.connect("ann", "", "crm")
			ds.err = test.err
			a := g.do(ask{user: "ann", path: back(state, "code", "THE-CODE"), cookies: []*http.Cookie{cookie}}).is(test.status)
			if !strings.Contains(a.Body.String(), test.words) {
				t.Errorf("the page does not say %q: %s", test.words, a.Body)
			}
			a.hides("renewed", "asked again") // words for tokens in use
			if got := a.expired(); len(got) != 1 || got[0] != cookie.Name {
				t.Errorf("the cookies %q are expired", got)
			}
			g.silent(state, cookie.Value, "THE-CODE")
		})
	}
}

// TestWhatTheProviderSays checks that operators, and only they, see what a token endpoint has
// written, as text and marked as the provider's. Nobody sees a description that came in the
// address of a callback.
func TestWhatTheProviderSays(t *testing.T) {
	const said, shown = `AADSTS70043: <b>expired</b>`, `<q>AADSTS70043: &lt;b&gt;expired&lt;/b&gt;</q>`
	failed := &provider.Error{Host: "p", Status: 400, Code: "invalid_grant", Description: said}
	status := &connection.Status{State: connection.StateReauthorize, LastError: "invalid_grant", LastDescription: said}
	for name, visit := range map[string]func(g *bed, ds *fake, user string) *answer{
		"the card": func(g *bed, _ *fake, user string) *answer {
			return g.do(ask{user: user, account: "a", path: "/connect/"})
		},
		"Refresh": func(g *bed, ds *fake, user string) *answer {
			ds.err = failed
			return g.do(ask{user: user, account: "a", method: "POST", path: "/connect/crm/refresh"})
		},
		"Refresh, ended": func(g *bed, ds *fake, user string) *answer {
			ds.err = &record.AuthorizationError{Reason: record.ReasonRevoked, Description: said}
			return g.do(ask{user: user, account: "a", method: "POST", path: "/connect/crm/refresh"})
		},
		"Refresh, too early": func(g *bed, ds *fake, user string) *answer {
			ds.err = &connection.EarlyRefusalError{Err: failed}
			return g.do(ask{user: user, account: "a", method: "POST", path: "/connect/crm/refresh"})
		},
		"Disconnect": func(g *bed, ds *fake, user string) *answer {
			ds.err = &connection.RevocationError{Err: failed}
			return g.do(ask{user: user, account: "a", method: "POST", path: "/connect/crm/disconnect"})
		},
		"the code": func(g *bed, ds *fake, user string) *answer {
			state, cookie := g.connect(user, "a", "crm")
			ds.err = failed
			return g.do(ask{user: user, account: "a", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}})
		},
		"the callback": func(g *bed, _ *fake, user string) *answer {
			state, cookie := g.connect(user, "a", "crm")
			path := back(state, "error", "access_denied", "error_description", said)
			return g.do(ask{user: user, account: "a", path: path, cookies: []*http.Cookie{cookie}})
		},
	} {
		// Both have a connection, and ann is an operator.
		for _, user := range []string{"ann", "bob"} {
			ds := &fake{name: "crm", perUser: true, status: status}
			body := visit(newBed(t, ds), ds, user).Body.String()
			want := user == "ann" && name != "the callback"
			if strings.Contains(body, shown) != want || !want && strings.Contains(body, "AADSTS") {
				t.Errorf("%s, %s: %s", name, user, body)
			}
		}
	}
}
