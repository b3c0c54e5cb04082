// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/endpoints"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestPresets: each line is whole, sourced and dated, and makes a configuration for both grants.
func TestPresets(t *testing.T) {
	list := Presets()
	if len(list) < 60 || !slices.IsSortedFunc(list, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d presets, or not in order", len(list))
	}
	for i, p := range list {
		if i > 0 && list[i-1].Name == p.Name {
			t.Errorf("%s is there twice", p.Name)
		}
		if len(p.Sources) == 0 {
			t.Errorf("%s has no source", p.Name)
		}
		for _, source := range p.Sources {
			address, date, _ := strings.Cut(source, " ")
			if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: %q is no address", p.Name, source)
			}
			if _, err := time.Parse(time.DateOnly, date); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
		name := p.Name
		if p.Tenant != "" {
			name += " tenant.example"
		}
		for _, grant := range []string{
			grantClientCredentials + " {\nclient_id i\nclient_secret s",
			grantAuthorizationCode + " {\nclient_id i\nclient_secret s\nredirect_url https://gw.example/connect/callback",
		} {
			m, _ := methodOf(t, "oauth2 "+grant+"\nprovider "+name+"\n}")
			to := resolved(t, m)
			for what, text := range map[string]string{"token_url": to.TokenURL, "authorization_url": to.AuthorizationURL, "revocation_url": to.RevocationURL} {
				if text != "" && (!strings.HasPrefix(text, "https://") || strings.Contains(text, "TENANT")) {
					t.Errorf("%s: %s is %s", p.Name, what, text)
				}
			}
			if to.ClientAuth != p.ClientAuth || m.Interactive() != (to.AuthorizationURL != "") {
				t.Errorf("%s: client_auth is %q, authorization_url %q", p.Name, to.ClientAuth, to.AuthorizationURL)
			}
		}
	}
}

// TestPresetsOfOAuth2: where golang.org/x/oauth2 makes an endpoint from a tenant, ours is the
// same.
func TestPresetsOfOAuth2(t *testing.T) {
	for name, want := range map[string]struct{ auth, token string }{
		"entra":                   {endpoints.AzureAD("").AuthURL, endpoints.AzureAD("").TokenURL},
		"entra common":            {endpoints.AzureAD("").AuthURL, endpoints.AzureAD("").TokenURL},
		"microsoft my-tenant":     {endpoints.AzureAD("my-tenant").AuthURL, endpoints.AzureAD("my-tenant").TokenURL},
		"shopify a.myshopify.com": {endpoints.Shopify("a.myshopify.com").AuthURL, endpoints.Shopify("a.myshopify.com").TokenURL},
		"gitlab":                  {endpoints.GitLab.AuthURL, endpoints.GitLab.TokenURL},
	} {
		m, _ := methodOf(t, "oauth2 authorization_code {\nclient_id i\nclient_secret s\nredirect_url https://gw.example/connect/callback\nprovider "+name+"\n}")
		if to := resolved(t, m); to.AuthorizationURL != want.auth || to.TokenURL != want.token {
			t.Errorf("%s: %s and %s, want %v", name, to.AuthorizationURL, to.TokenURL, want)
		}
	}
}

// TestPresetOverridden: what is written out wins, one option and one parameter at a time; and the
// configuration has nothing of the preset in it.
func TestPresetOverridden(t *testing.T) {
	t.Setenv("TEST_TENANT", "from-env")
	m := new(Method)
	block := "oauth2 authorization_code {\nprovider google\nclient_id i\nclient_secret s\nredirect_url https://gw.example/connect/callback\n" +
		"token_url https://other.example/token\nclient_auth client_secret_basic\nauthorization_param prompt none\nauthorization_param hd example.com\n}"
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(block)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(m)
	if err != nil || strings.Contains(string(text), "access_type") || strings.Contains(string(text), "accounts.google") ||
		!strings.Contains(string(text), `"provider":"google"`) {
		t.Errorf("%s, %v", text, err)
	}
	m, _ = methodOf(t, block)
	to := resolved(t, m)
	want := map[string]string{"prompt": "none", "hd": "example.com", "access_type": "offline"}
	if to.TokenURL != "https://other.example/token" || to.ClientAuth != "client_secret_basic" || !maps.Equal(to.AuthorizationParams, want) ||
		to.AuthorizationURL != endpoints.Google.AuthURL {
		t.Errorf("%s %s %v %s", to.TokenURL, to.ClientAuth, to.AuthorizationParams, to.AuthorizationURL)
	}
	m, _ = methodOf(t, "oauth2 client_credentials {\nprovider entra {env.TEST_TENANT}\nclient_id i\nclient_secret s\n}")
	if to := resolved(t, m); to.TokenURL != "https://login.microsoftonline.com/from-env/oauth2/v2.0/token" || to.ClientAuth != "client_secret_post" {
		t.Errorf("%s %s", to.TokenURL, to.ClientAuth)
	}
	m, _ = methodOf(t, "oauth2 authorization_code {\nprovider google\nclient_id i\nclient_secret s\nrefresh_token r\n}")
	if to := resolved(t, m); to.AuthorizationURL != "" || m.Connectable() {
		t.Errorf("with a refresh_token alone there is %s", to.AuthorizationURL)
	}
}

// TestScopeSeparator: a provider that wants commas gets them, in both requests.
func TestScopeSeparator(t *testing.T) {
	w := oauthtest.NewWire(t)
	m, _ := methodOf(t, "oauth2 client_credentials {\nprovider slack\ntoken_url "+w.URL()+"\nclient_id i\nclient_secret s\nscopes a b\n}")
	if _, err := m.fetch(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := <-w.Requests, wholeRequest(w, "/token", "", form, "client_id=i&client_secret=s&grant_type=client_credentials&scope=a%2Cb"); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	m, _ = methodOf(t, "oauth2 authorization_code {\nprovider slack\nclient_id i\nclient_secret s\nredirect_url https://gw.example/connect/callback\nscopes a b\n}")
	u, err := url.Parse(resolved(t, m).AuthCodeURL("state", ""))
	if err != nil || u.Query().Get("scope") != "a,b" || len(u.Query()["scope"]) != 1 || m.PKCE != pkceOff {
		t.Errorf("%s, pkce %s", u, m.PKCE)
	}
}

// TestPresetErrors: each names the option and the remedy.
func TestPresetErrors(t *testing.T) {
	for line, hint := range map[string]string{
		"provider":                         "takes a name",
		"provider a b c":                   "takes a name",
		"provider githup":                  "did you mean github?",
		"provider no-such-provider":        "caddy authenticated-api providers",
		"provider github x":                "nothing stands behind the name",
		"provider okta":                    "write tenant.okta.com behind the name",
		"provider okta https://x.okta.com": "is not of the form of tenant.okta.com",
		"provider okta x.okta.com/path":    "is not of the form of tenant.okta.com",
		"provider okta user@evil.example":  "is not of the form of tenant.okta.com",
		"provider github\nprovider gitlab": "provider: given twice",
		"provider gitlab $TENANT":          "TENANT",
	} {
		err := new(Method).UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 client_credentials {\nclient_id i\nclient_secret s\n" + line + "\n}"))
		if err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v", line, err)
		}
	}
}
