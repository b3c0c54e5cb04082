// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// bind binds a method as a configuration does.
func bind(t testing.TB, m *Method, storage certmagic.Storage, ring *seal.Ring, allowed error) {
	t.Helper()
	err := m.Bind(Environment{
		Datasource: "crm", Storage: storage,
		Keys: func() (*seal.Ring, error) { return ring, nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if allowed != nil {
				return nil, allowed
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProvisionErrors: what is wrong with a value that was resolved is a config error that names
// the option, not the value.
func TestProvisionErrors(t *testing.T) {
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("TEST_LINES", oauthtest.ClientSecret+"\nmore")
	for block, hint := range map[string]string{
		"token_url http://p.example/token\nclient_id i\nclient_secret s":                      "token_url: http sends secrets in clear",
		"token_url p.example/token\nclient_id i\nclient_secret s":                             "token_url: it is no URL",
		"token_url ftp://p.example/\nclient_id i\nclient_secret s":                            "token_url: it is no URL",
		"token_url https:///token\nclient_id i\nclient_secret s":                              "token_url: it is no URL",
		"token_url https://:443/token\nclient_id i\nclient_secret s":                          "token_url: it is no URL",
		"token_url https://" + oauthtest.ClientSecret + ":x@p/\nclient_id i\nclient_secret s": "token_url: a user name",
		"token_url https://p/#x\nclient_id i\nclient_secret s":                                "token_url: a fragment",
		"token_url https://p/%zz\nclient_id i\nclient_secret s":                               "token_url: it is no URL",
		"token_url {env.TEST_UNSET}\nclient_id i\nclient_secret s":                            "token_url: {env.TEST_UNSET}",
		"token_url https://p/\nclient_id i\nclient_secret {env.TEST_EMPTY}":                   "client_secret: {env.TEST_EMPTY}",
		"token_url https://p/\nclient_id i\nclient_secret {env.TEST_LINES}":                   "client_secret: the value",
		"token_url https://p/\nclient_id {file./none}\nclient_secret s":                       "client_id: {file./none}",
		"token_url https://p/\nclient_id {http.request.host}\nclient_secret s":                "client_id: {http.request.host} belongs to a request",
		"token_url https://p/\nclient_id i\nclient_secret s\nscopes {{x}}":                    "scopes: {{…}}",
		"token_url https://p/\nclient_id i\nclient_secret s\nscopes {env.TEST_UNSET}":         "scopes: {env.TEST_UNSET}",
		"token_url https://p/\nclient_id i\nclient_secret s\nresource {env.TEST_UNSET}":       "resource: {env.TEST_UNSET}",
		"token_url https://p/\nclient_id i\nclient_secret s\naudience {env.TEST_UNSET}":       "audience: {env.TEST_UNSET}",
		"token_url https://p/\nclient_id i\nclient_secret s\ntoken_param k {env.TEST_UNSET}":  "token_param k: {env.TEST_UNSET}",
		"token_url https://p/\nclient_id i\nclient_secret s\nself_signed_cert /none.pem":      "self_signed_cert: ",
	} {
		m := parse(t, block)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		err := m.Provision(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "auth oauth2: "+hint) || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
			t.Errorf("%q: %v", block, err)
		}
	}
	for _, good := range []string{
		"http://localhost:8080/t", "http://127.0.0.1/t", "http://127.9.9.9/t", "http://[::1]:80/t", "http://idp.localhost/t", "https://p.example",
		"https://p.example:8443/a/b?c=d", "http://p.example/t\ninsecure_http",
	} {
		provision(t, "client_id i\nclient_secret s\ntoken_url "+good)
	}
}

// TestWarnings: what is allowed and yet may be a mistake is said when the configuration loads,
// without the values.
func TestWarnings(t *testing.T) {
	for block, hint := range map[string]string{
		"token_url http://p.example/t\ninsecure_http\nclient_id i\nclient_secret s":                  "in clear",
		"token_url https://p/\nclient_id i\nclient_secret " + oauthtest.ClientSecret + "+/":          "client_secret_basic_raw",
		"token_url https://p/\nclient_id a:b\nclient_secret s\nclient_auth client_secret_basic":      "client_secret_basic_raw",
		"token_url https://p/\nclient_id a:b\nclient_secret s+\nclient_auth client_secret_basic_raw": "",
		"token_url https://p/\nclient_id a:b\nclient_secret s+\nclient_auth client_secret_post":      "",
		"token_url https://p/\nclient_id i\nclient_secret s":                                         "",
		"token_url http://127.0.0.1/\nclient_id i\nclient_secret s":                                  "",
	} {
		m, observed := provision(t, block)
		req, err := m.resolve()
		if err != nil {
			t.Fatal(err)
		}
		warn(&m.Options, m.logger, req)
		got := observed.String()
		if (hint == "") != (observed.Len() == 0) || !strings.Contains(got, hint) || oauthtest.Leaks(got) != nil {
			t.Errorf("%q: %s", block, got)
		}
	}
}

// TestPlacement: where the token goes, and how.
func TestPlacement(t *testing.T) {
	for block, want := range map[string]string{
		"":                              "Authorization: Bearer t",
		"header_prefix Token":           "Authorization: Token t",
		`header_prefix ""`:              "Authorization: t",
		"add_token_to header x-token":   "X-Token: Bearer t",
		"add_token_to query":            "?access_token=t&a=1",
		"add_token_to query \"my key\"": "?my%20key=t&a=1",
	} {
		m := parse(t, needed+block)
		c := m.build(issue("t", 0))
		h := make(http.Header)
		c.SetHeader(h)
		got := "?" + c.SetQuery("a=1")
		for field, vals := range h {
			got = field + ": " + strings.Join(vals, "|")
		}
		if got != want {
			t.Errorf("%q: %s, want %s", block, got, want)
		}
		if p := m.Placement(); p.Header == "" == (p.Query == "") {
			t.Errorf("%q: %+v", block, p)
		}
	}
}

// TestReload: a token outlives the configuration that has fetched it, without storage even, if
// nothing changed that it was issued for; and the connections of the old one end.
func TestReload(t *testing.T) {
	closed := make(chan struct{}, 10)
	calls := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		oauthtest.Respond(200, `{"access_token":"t","expires_in":3600}`)(w, nil)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	broken := &oauthtest.Memory{Fault: func(context.Context, string, string) error { return errors.New("down") }}
	ring := seal.NewRing(oauthtest.NewKey(t))
	load := func(options string) *Method {
		m, _ := provision(t, "token_url "+server.URL+"\nclient_id i\n"+options)
		bind(t, m, broken, ring, nil)
		return m
	}
	get := func(m *Method) {
		t.Helper()
		if c, err := m.Credential(t.Context()); err != nil || sent(c) != "t" {
			t.Fatalf("%s, %v", sent(c), err)
		}
	}
	old := load("client_secret one\nscopes a b")
	get(old)
	fresh := load("client_secret two\nscopes a b\ntimeout 5s")
	if err := old.Cleanup(); err != nil {
		t.Fatal(err)
	}
	get(fresh)
	if calls != 1 {
		t.Errorf("%d token requests over a reload", calls)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection of the old configuration stays")
	}
	other := load("client_secret two\nscopes a")
	get(other)
	if calls != 2 {
		t.Errorf("%d token requests after a change of scopes", calls)
	}
	again := load("client_secret three\nscopes a")
	get(again)
	for _, m := range []*Method{fresh, other, again} {
		if err := m.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(closed); n > 10 {
		t.Errorf("%d connections", n)
	}
	last := load("client_secret three\nscopes a")
	get(last)
	if calls != 3 {
		t.Errorf("%d token requests: what was known has outlived its last configuration", calls)
	}
	if err := last.Cleanup(); err != nil {
		t.Fatal(err)
	}
}

// TestDialRule: the address that is dialled decides, and the error says which one it was.
func TestDialRule(t *testing.T) {
	url := oauthtest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a forbidden address was dialled") })
	m, _ := provision(t, "token_url "+url+"\nclient_id i\nclient_secret "+oauthtest.ClientSecret)
	bind(t, m, new(oauthtest.Memory), seal.NewRing(oauthtest.NewKey(t)), errors.New("it is never dialled"))
	defer m.Cleanup()
	_, err := m.Credential(t.Context())
	if err == nil || !strings.Contains(err.Error(), "never dialled") || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
		t.Error(err)
	}
	unnamed, _ := provision(t, needed[:strings.Index(needed, "{")]+"s")
	if err := unnamed.Bind(Environment{}); err == nil || !strings.Contains(err.Error(), "name") {
		t.Errorf("without a name: %v", err)
	}
	if err := unnamed.Cleanup(); err != nil {
		t.Errorf("what was never bound is cleaned up: %v", err)
	}
}

// TestPrivateCertificate: self_signed_cert is trusted for the token endpoint in the place of the
// system's roots.
func TestPrivateCertificate(t *testing.T) {
	server := httptest.NewTLSServer(oauthtest.Respond(200, `{"access_token":"t"}`))
	defer server.Close()
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	own := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	m, _ := provision(t, "token_url "+server.URL+"\nclient_id i\nclient_secret s\nself_signed_cert `"+own+"`")
	if token, err := m.fetch(t.Context(), nil, nil); err != nil || token.Access != "t" {
		t.Errorf("with the certificate: %v", err)
	}
	m.client = provider.New(nil, nil)
	_, err := m.fetch(t.Context(), nil, nil)
	if e, ok := errors.AsType[*provider.Error](err); !ok || !strings.Contains(e.Error(), "certificate") || !strings.Contains(e.Remedy(), "self_signed_cert") {
		t.Errorf("without the certificate: %v", err)
	}
}

// TestNothingToSee: whatever formats a method for a log shows no secret.
func TestNothingToSee(t *testing.T) {
	m, _ := provision(t, "token_url https://p/\nclient_id i\nclient_secret "+oauthtest.ClientSecret+"\ntoken_param pin "+oauthtest.ClientSecret)
	logger, observed := oauthtest.NewLogger()
	logger.Info("a method", zap.Object("method", m), zap.Any("any", m))
	if oauthtest.Leaks(observed.String()) != nil || !strings.Contains(observed.String(), "client_credentials") {
		t.Error(observed)
	}
	if !m.Renewable() {
		t.Error("a token cannot be renewed")
	}
	var _ auth.Method = m
}
