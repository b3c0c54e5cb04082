// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy" // brings the modules of caddy.network_proxy
)

// senders are the places that send a request to a provider.
var senders = map[string]func(ctx context.Context, m *Method) error{
	"fetch": func(ctx context.Context, m *Method) error { _, err := m.fetch(ctx, nil, nil); return err },
	"redeem": func(ctx context.Context, m *Method) error {
		_, err := redeem(ctx, m, nil, &record.Token{Refresh: "r"})
		return err
	},
	"exchange": func(ctx context.Context, m *Method) error {
		_, err := exchange(ctx, m, &Flow{Verifier: "verifier"}, "code")
		return err
	},
	"revoke": func(ctx context.Context, m *Method) error { return revoke(ctx, m, &record.Token{Access: "a"}) },
}

// TestSendersProxy: whatever is asked of a provider goes through the proxy, and its placeholders
// are global ones.
func TestSendersProxy(t *testing.T) {
	var seen atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "provider.test" {
			seen.Add(1)
		}
		_, _ = io.WriteString(w, `{"access_token":"good","refresh_token":"r","expires_in":3600}`)
	}))
	defer proxy.Close()
	t.Setenv("PROXY", proxy.URL)
	for name, send := range senders {
		for _, option := range []string{"network_proxy url " + proxy.URL, "network_proxy url {env.PROXY}", ""} {
			m := newSender(t, "http://provider.test/x")
			m.InsecureHTTP = true
			if option == "" {
				m.UseProxy(func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) })
			} else {
				d := caddyfile.NewTestDispenser(option)
				d.Next()
				if err := m.unmarshalProxy(d); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
				defer cancel()
				if err := m.loadProxy(ctx); err != nil {
					t.Fatal(err)
				}
				m.UseProxy(nil) // the API's is another one
			}
			m.client.Transport.Proxy = m.proxy.to.Of
			seen.Store(0)
			if err := send(t.Context(), m); err != nil || seen.Load() != 1 {
				t.Errorf("%s, %q: %v, and the proxy has seen %d requests", name, option, err, seen.Load())
			}
		}
	}
}

// newSender returns a method whose endpoints are all at one URL.
func newSender(t *testing.T, url string) *Method {
	t.Helper()
	m := &Method{Options: Options{
		Grant: grantAuthorizationCode, AuthorizationURL: url, TokenURL: url, RevocationURL: url, RedirectURL: "https://g.example/connect/callback",
		ClientID: "i", ClientSecret: oauthtest.ClientSecret, Timeout: caddy.Duration(defaultTimeout),
	}}
	m.texts = provider.Config{
		TokenURL: url, AuthorizationURL: url, RevocationURL: url, RedirectURL: m.RedirectURL, ClientID: "i", ClientSecret: oauthtest.ClientSecret,
	}
	m.logger, _ = oauthtest.NewLogger()
	m.client = provider.New(nil, new(net.Dialer).DialContext)
	t.Cleanup(m.client.CloseIdleConnections)
	return m
}
