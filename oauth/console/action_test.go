// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestFailures presses buttons while the datasource fails.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		action string
		err    error
		status int
		words  string
	}{
		"refused":             {"refresh", &provider.Error{Status: 401, Code: "invalid_client"}, 502, "client id and secret"},
		"down":                {"refresh", &provider.Error{Status: 503}, 503, "no answer that the gateway can use"},
		"withdrawn":           {"refresh", &record.AuthorizationError{Reason: "revoked"}, 503, "withdrawn the access"},
		"a GitHub client":     {"refresh", &provider.Error{Status: 200, Code: "incorrect_client_credentials"}, 502, "client id and secret"},
		"a Slack client":      {"refresh", &provider.Error{Status: 200, Code: "bad_client_secret"}, 502, "client id and secret"},
		"a code nobody knows": {"refresh", &provider.Error{Status: 400, Code: "strange"}, 503, "a reason that this gateway does not know"},
		"not renewable":       {"refresh", connection.ErrNotRenewable, 409, "given no refresh token"},
		"key":                 {"refresh", record.ErrKeyMissing, 503, "a key that this gateway lacks"},
		"disconnect":          {"disconnect", errors.New("read-only"), 503, "Its log says what"},
		"not revoked":         {"disconnect", &connection.RevocationError{Err: errors.New("503")}, 200, "Remove the access in your account"},
		"cannot begin":        {"connect", errors.New("{file.x} is empty"), 503, "configuration or storage"},
		"nothing wrong":       {"refresh", nil, 303, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newBed(t, &fake{name: "crm", err: test.err})
			a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/" + test.action}).is(test.status).shows(test.words)
			if test.status != 303 && !strings.Contains(a.Body.String(), `href="../?at=crm#account-crm"`) {
				t.Error("there is no way back")
			}
		})
	}
}

// TestNowhere checks that nobody is sent to the provider if redirect_url leads to no console. They
// would come back to an empty page with a code that cannot be used again.
func TestNowhere(t *testing.T) {
	for _, tt := range []struct {
		base, path string
		leads      bool // another console is there
		ok         bool
	}{
		{base: "https://gw.example/connect/", path: "/connect/", ok: true},
		{base: "https://gw.example/oauth/", path: "/connect/"},
		{base: "https://gw.example/oauth/", path: "/connect/", leads: true, ok: true},
		{base: "https://gw.example/", path: "/connect/", ok: true},
		// A proxy in front strips /gw.
		{base: "https://gw.example/gw/connect/", path: "/connect/", ok: true},
		{base: "https://gw.example/connected/", path: "/connect/"},
		{base: "https://gw.example/connect/other/", path: "/connect/"},
	} {
		ds := &fake{name: "crm", base: tt.base}
		g := newBed(t, ds)
		g.leads = func(redirect string) bool { return tt.leads && redirect == tt.base+"callback" }
		a := ask{user: "ann", method: "POST", path: tt.path + "crm/connect"}
		if !strings.HasPrefix(tt.path, "/connect") {
			a.whole = true
		}
		switch res := g.do(a); {
		case tt.ok && res.Code != 303:
			t.Errorf("%+v: %d %s", tt, res.Code, res.title())
		case !tt.ok:
			res.is(409).says("The way back would lead nowhere").shows(tt.base + "callback")
			ds.called(t, "")
			if g.logs.FilterMessageSnippet("redirect_url leads").Len() != 1 {
				t.Error("nothing is logged")
			}
		}
	}
}
