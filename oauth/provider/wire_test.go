// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

const formType = "application/x-www-form-urlencoded"

// TestWire compares whole requests, byte for byte, for each way of client authentication: what is
// not in them is not sent.
func TestWire(t *testing.T) {
	w := oauthtest.NewWire(t)
	const (
		id, secret = "my id:/é", "p% w+:&=\""
		encoded    = "Basic bXkraWQlM0ElMkYlQzMlQTk6cCUyNSt3JTJCJTNBJTI2JTNEJTIy" // my+id%3A%2F%C3%A9:p%25+w%2B%3A%26%3D%22
		raw        = "Basic bXkgaWQ6L8OpOnAlIHcrOiY9Ig=="                         // as they stand
		inForm     = "client_id=my+id%3A%2F%C3%A9"
		both       = inForm + "&client_secret=p%25+w%2B%3A%26%3D%22"
	)
	ways := map[string]struct{ header, form string }{
		"": {encoded, ""}, ClientSecretBasic: {encoded, ""}, "client_secret_basic_raw": {raw, ""},
		"client_secret_post": {"", both}, ClientAuthNone: {"", inForm},
	}
	for _, name := range ClientAuths() {
		if _, ok := ways[name]; !ok && !slices.Contains(waysOfAssertion, name) && name != TLSClientAuth {
			t.Errorf("%s has no test", name)
		}
	}
	const asks = "Accept: application/json\r\nAccept-Encoding: identity\r\n"
	for name, want := range ways {
		cfg := &Config{
			TokenURL: "http://" + w.Addr + "/token?tenant=a", RevocationURL: "http://" + w.Addr + "/revoke", RedirectURL: "https://g/callback",
			ClientID: id, ClientSecret: secret, ClientAuth: name, Scopes: []string{"a", "b"}, Audience: "aud", Resource: []string{"r1", "r2"},
			TokenParams: map[string]string{"k": "v"}, Timeout: 10 * time.Second,
		}
		client := New(nil, nil)
		t.Cleanup(client.CloseIdleConnections)
		got := func(err error) string {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return <-w.Requests
		}
		// whole returns a request; the form's parameters are in order of their names.
		whole := func(path, accept string, params ...string) string {
			if want.form != "" {
				params = append(params, strings.Split(want.form, "&")...)
			}
			slices.Sort(params)
			body := strings.Join(params, "&")
			header := ""
			if want.header != "" {
				header = "Authorization: " + want.header + "\r\n"
			}
			return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n%s%sContent-Type: %s\r\n\r\n%s",
				path, w.Addr, len(body), accept, header, formType, body)
		}
		all := []string{"audience=aud", "k=v", "resource=r1", "resource=r2"}
		ctx := context.Background()
		for what, request := range map[string]struct {
			send func() error
			want string
		}{
			"credentials": {
				func() error { _, err := client.Credentials(ctx, cfg); return err },
				whole("/token?tenant=a", asks, append([]string{"grant_type=client_credentials", "scope=a+b"}, all...)...),
			},
			"exchange": {
				func() error { _, err := client.Exchange(ctx, cfg, "c d", "ver"); return err },
				whole("/token?tenant=a", asks, append([]string{
					"grant_type=authorization_code", "code=c+d", "code_verifier=ver", "redirect_uri=https%3A%2F%2Fg%2Fcallback",
				}, all...)...),
			},
			"exchange without PKCE": {
				func() error { _, err := client.Exchange(ctx, cfg, "c", ""); return err },
				whole("/token?tenant=a", asks, append([]string{
					"grant_type=authorization_code", "code=c", "redirect_uri=https%3A%2F%2Fg%2Fcallback",
				}, all...)...),
			},
			"refresh": {
				func() error { _, err := client.Refresh(ctx, cfg, "r+"); return err },
				whole("/token?tenant=a", asks, append([]string{"grant_type=refresh_token", "refresh_token=r%2B"}, all...)...),
			},
			"refresh with scopes, authenticated in its own way": {
				func() error {
					own := *cfg
					own.ScopeOnRefresh, own.ClientAuth, own.RefreshClientAuth = true, ClientAuthNone, cfg.ClientAuth
					if name == "" {
						own.ClientAuth = ""
					}
					_, err := client.Refresh(ctx, &own, "r")
					return err
				},
				whole("/token?tenant=a", asks, append([]string{"grant_type=refresh_token", "refresh_token=r", "scope=a+b"}, all...)...),
			},
			"revocation": {
				func() error { return client.Revoke(ctx, cfg, "a", "") },
				whole("/revoke", "", "token=a", "token_type_hint=access_token"),
			},
		} {
			if sent := got(request.send()); sent != request.want {
				t.Errorf("%s, %s: got\n%q\nwant\n%q", name, what, sent, request.want)
			}
		}
	}
	client := New(nil, nil)
	if _, err := client.Credentials(context.Background(), &Config{TokenURL: "http://" + w.Addr, ClientAuth: "x", Timeout: time.Second}); err == nil {
		t.Error("an unknown way of client authentication has sent a request")
	}
}

// TestJSON: the same parameters as a JSON object.
func TestJSON(t *testing.T) {
	w := oauthtest.NewWire(t)
	cfg := configOf(w.URL())
	cfg.JSON, cfg.ClientAuth, cfg.Resource = true, "client_secret_post", []string{"r1", "r2"}
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	if _, err := client.Refresh(t.Context(), cfg, "r"); err != nil {
		t.Fatal(err)
	}
	header, body, _ := strings.Cut(<-w.Requests, "\r\n\r\n")
	const want = `{"client_id":"i","client_secret":"` + oauthtest.ClientSecret + `","grant_type":"refresh_token","refresh_token":"r","resource":["r1","r2"]}`
	if body != want || !strings.Contains(header, "\r\nContent-Type: application/json") {
		t.Errorf("got %q, want %q", body, want)
	}
}
