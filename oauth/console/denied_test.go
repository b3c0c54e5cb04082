// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDenied has a provider send somebody back with an error. The words are ours, whatever it sends (O16).
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
		ds.called(t, "")
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

// silent checks that nothing of that is in the logs.
func (g *bed) silent(secrets ...string) {
	g.t.Helper()
	for _, entry := range g.logs.All() {
		text := entry.Message
		for _, value := range entry.ContextMap() {
			if s, ok := value.(string); ok {
				text += " " + s
			}
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				g.t.Errorf("the log line %q has %q in it", text, secret)
			}
		}
	}
}

// TestNotRedeemed is for codes that the provider does not take.
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
			a.hides("renewed", "asked again") // that is of tokens in use
			if got := a.expired(); len(got) != 1 || got[0] != cookie.Name {
				t.Errorf("the cookies %q are expired", got)
			}
			g.silent(state, cookie.Value, "THE-CODE")
		})
	}
}

// TestRemedies checks that the log of a failure has all that an operator needs to mend it.
func TestRemedies(t *testing.T) {
	failed := &provider.Error{Host: "login.example", Status: 401, Code: "invalid_client", Err: errors.New("the cause")}
	for message, fail := range map[string]func(g *bed, ds *fake){
		"connecting an account failed": func(g *bed, ds *fake) {
			state, cookie := g.connect("ann", "", "crm")
			ds.err = failed
			g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}})
		},
		"refreshing a connection failed": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/refresh"})
		},
		"an account cannot be connected": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect"})
		},
		"disconnecting failed": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/disconnect"})
		},
		"the state of a connection cannot be read": func(g *bed, ds *fake) {
			ds.readErr = failed
			g.do(ask{user: "ann", path: "/connect/"})
		},
		"a ticket cannot be checked": func(g *bed, ds *fake) {
			ds.usedUp = failed
			g.do(ask{path: "/connect/?ticket=ticket-for-crm"})
		},
	} {
		t.Run(message, func(t *testing.T) {
			ds := &fake{name: "crm"}
			g := newBed(t, ds)
			fail(g, ds)
			lines := g.logs.FilterMessage(message).All()
			if len(lines) != 1 {
				t.Fatalf("%d lines say so", len(lines))
			}
			fields := lines[0].ContextMap()
			for name, want := range map[string]any{
				"datasource": "crm", "token_endpoint": "login.example", "status": int64(401), "oauth_error": "invalid_client",
				"remedy": failed.Remedy(), "error": failed.Error(),
			} {
				if fields[name] != want {
					t.Errorf("%s is %v, want %v", name, fields[name], want)
				}
			}
		})
	}
}

// TestWhatTheProviderSays: operators see what a token endpoint has written, as text and as that; nobody else does, and nobody sees what has
// come by the address of a callback.
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
		for _, user := range []string{"ann", "bob"} { // each has a connection, and ann is an operator
			ds := &fake{name: "crm", perUser: true, status: status}
			body := visit(newBed(t, ds), ds, user).Body.String()
			want := user == "ann" && name != "the callback"
			if strings.Contains(body, shown) != want || !want && strings.Contains(body, "AADSTS") {
				t.Errorf("%s, %s: %s", name, user, body)
			}
		}
	}
}
