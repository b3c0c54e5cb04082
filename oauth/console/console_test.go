// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/authenticated-api/caddy-authenticated-api/login"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
)

// testApp stands for the app, which another package has.
type testApp struct{}

func (*testApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authenticated_api", New: func() caddy.Module { return new(testApp) }}
}

func (*testApp) Start() error { return nil }

func (*testApp) Stop() error { return nil }

func (*testApp) OAuth() []*oauth.Method { return nil }

func (*testApp) WithoutProvider() ([]*keys.Method, []*login.Login) { return nil, nil }

func (*testApp) LeadsToConsole(string) bool { return false }

func (*testApp) Ring() (*seal.Ring, error) { return nil, nil }

func TestProvision(t *testing.T) {
	caddy.RegisterModule(new(testApp))
	t.Setenv("CONSOLE_TEST_OPERATOR", "ann")
	ctx, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"operators": ["{env.CONSOLE_TEST_OPERATOR}", "bob"]}`: "",
		`{"user": "{http.request.header.X-User}"}`:              "", // and a warning
		`{"user": "ann"}`:                    "user: takes a placeholder",
		`{"operators": [""]}`:                "operators: ",
		`{"operators": ["{env.NOT_THERE}"]}`: "operators: ",
		`{"operators": ["{http.nothing}"]}`:  "operators: ",
		`{"opreators": ["ann"]}`:             "opreators",
	} {
		module, err := ctx.LoadModuleByID("http.handlers.authenticated_api_console", json.RawMessage(text))
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want == "":
			h := module.(*Handler)
			if len(h.operators) != len(h.Operators) || len(h.Operators) > 0 && (!h.operators["ann"] || !h.operators["bob"]) {
				t.Errorf("%s: the operators are %v", text, h.operators)
			}
			if len(h.datasources()) != 0 || h.User == "" {
				t.Errorf("%s: %+v", text, h)
			}
		}
	}
}

// TestEarlyData checks every route (RFC 8470).
func TestEarlyData(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, path := range []string{"/connect/", "/connect/?ticket=ticket-for-crm", "/connect/crm/connect", "/connect/crm/disconnect", "/connect/callback", "/connect/none"} {
			for _, user := range []string{"", "ann"} {
				g.do(ask{user: user, method: method, path: path, tls: new(tls.ConnectionState)}).is(425)
				g.do(ask{user: user, method: method, path: path, header: http.Header{"Early-Data": {"1"}}}).is(425)
			}
		}
	}
	ds.called(t, "")
	complete := &tls.ConnectionState{HandshakeComplete: true}
	g.do(ask{user: "ann", path: "/connect/", tls: complete}).is(200)
	g.do(ask{user: "ann", path: "/connect/", tls: complete, header: http.Header{"Early-Data": {"0"}}}).is(200)
}

// Interface guards
var (
	_ App       = (*testApp)(nil)
	_ caddy.App = (*testApp)(nil)
)
