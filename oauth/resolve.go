// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// unseal opens the sealed values of the options.
func (m *Method) unseal(ctx caddy.Context) error {
	c := &m.texts
	c.Scopes, c.Resource = slices.Clone(m.Scopes), slices.Clone(m.Resource)
	c.TokenParams, c.AuthorizationParams = maps.Clone(m.TokenParams), maps.Clone(m.AuthorizationParams)
	var texts []*string
	for _, o := range options {
		if o.config != nil {
			*o.config(c) = *o.text(m)
			texts = append(texts, o.config(c))
		}
	}
	for i := range c.Scopes {
		texts = append(texts, &c.Scopes[i])
	}
	for i := range c.Resource {
		texts = append(texts, &c.Resource[i])
	}
	if err := value.UnsealAll(ctx, "auth oauth2", texts...); err != nil {
		return err
	}
	if err := m.unsealClientAuth(ctx); err != nil {
		return err
	}
	if err := unsealParams(ctx, "token_param", c.TokenParams); err != nil {
		return err
	}
	return unsealParams(ctx, "authorization_param", c.AuthorizationParams)
}

func unsealParams(ctx caddy.Context, option string, params map[string]string) error {
	for name, text := range params {
		plain, err := value.Unseal(ctx, "auth oauth2: "+value.Label(option, name, isParam(name)), text)
		if err != nil {
			return err
		}
		params[name] = plain
	}
	return nil
}

// resolve resolves the placeholders as of now: a secret in a file may have been rotated.
func (m *Method) resolve() (*provider.Config, error) {
	c := &provider.Config{
		ClientAuth: m.ClientAuth, RefreshClientAuth: m.RefreshClientAuth, ScopeOnRefresh: m.SendScopeOnRefresh,
		JSON: m.TokenRequest == tokenRequestJSON, IDToken: m.TokenField == fieldIDToken, Timeout: time.Duration(m.Timeout),
	}
	var err error
	line := func(option, text string) string {
		if err != nil || text == "" {
			return ""
		}
		var val string
		val, err = value.ResolveLine("auth oauth2: "+option, text)
		return val
	}
	lines := func(option string, texts map[string]string) map[string]string {
		resolved := make(map[string]string, len(texts))
		for name, text := range texts {
			resolved[name] = line(value.Label(option, name, isParam(name)), text)
		}
		return resolved
	}
	for _, o := range options {
		if o.config != nil {
			*o.config(c) = line(o.name, *o.config(&m.texts))
		}
	}
	for _, text := range m.texts.Scopes {
		c.Scopes = append(c.Scopes, strings.FieldsFunc(line("scopes", text), betweenScopes)...)
	}
	for _, text := range m.texts.Resource {
		c.Resource = append(c.Resource, line("resource", text))
	}
	c.TokenParams = lines("token_param", m.texts.TokenParams)
	c.AuthorizationParams = lines("authorization_param", m.texts.AuthorizationParams)
	for name, val := range c.TokenParams {
		if val != m.TokenParams[name] { // else it stands in the configuration as it is sent
			c.Secrets = append(c.Secrets, val)
		}
	}
	err = cmp.Or(err, value.CheckSecret("auth oauth2: client_id", c.ClientID), value.CheckSecret("auth oauth2: client_secret", c.ClientSecret))
	if err != nil {
		return nil, err
	}
	if err := m.resolveClientAuth(c); err != nil {
		return nil, err
	}
	return c, m.checkURLs(c)
}

func betweenScopes(r rune) bool { return r == ',' || r == ' ' }

// checkURLs reports what is wrong with the resolved URLs.
func (m *Method) checkURLs(c *provider.Config) error {
	if err := m.checkEndpoint("token_url", c.TokenURL); err != nil {
		return err
	}
	if !m.Interactive() {
		return nil
	}
	if err := m.checkEndpoint("authorization_url", c.AuthorizationURL); err != nil {
		return err
	}
	if c.RevocationURL != "" {
		if err := m.checkEndpoint("revocation_url", c.RevocationURL); err != nil {
			return err
		}
	}
	if err := checkOwnQuery(c); err != nil {
		return err
	}
	return checkRedirect(c.RedirectURL)
}

func (m *Method) checkEndpoint(option, text string) error {
	option = "auth oauth2: " + option
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New(option + ": it is no URL; it looks like https://provider.example/oauth/token")
	case u.User != nil:
		return errors.New(option + ": a user name or password cannot stand in it; see client_id and client_secret")
	case u.Fragment != "":
		return errors.New(option + ": a fragment (#…) is never sent to a server; remove it")
	case u.Scheme == "http" && m.presentsCertificate():
		return errors.New(option + ": client_auth tls_client_auth needs https; only TLS presents the client certificate")
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !m.InsecureHTTP:
		return errors.New(option + ": http sends secrets in clear; write https, or insecure_http if you must")
	}
	return nil
}

// checkOwnQuery refuses parameters in authorization_url that this module sends too: a provider may
// take the one or the other.
func checkOwnQuery(c *provider.Config) error {
	u, err := url.Parse(c.AuthorizationURL)
	if err != nil {
		return errors.New("auth oauth2: authorization_url: it is no URL")
	}
	own := u.Query()
	for _, name := range protocolParams {
		if own.Has(name) {
			return errors.New("auth oauth2: authorization_url: " + name + " in its query is made for each flow; remove it there")
		}
	}
	for _, option := range []struct {
		param, name string
		given       bool
	}{
		{"scope", "scopes", len(c.Scopes) > 0},
		{"audience", "audience", c.Audience != ""},
		{"resource", "resource", len(c.Resource) > 0},
	} {
		if own.Has(option.param) && option.given {
			return fmt.Errorf("auth oauth2: authorization_url: %s is in its query and in the option %s; remove one", option.param, option.name)
		}
	}
	for name := range c.AuthorizationParams {
		if own.Has(name) {
			return errors.New("auth oauth2: authorization_url: " + value.Label("a parameter", name, isParam(name)) +
				" is in its query and in authorization_param; remove one")
		}
	}
	return nil
}

// callbackPath is the end of every redirect URL.
const callbackPath = "/callback"

func checkRedirect(text string) error {
	const option = "auth oauth2: redirect_url"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
		return errors.New(option + ": it is no URL; it looks like https://gateway.example.com/connect/callback")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || !strings.HasSuffix(text, callbackPath):
		return errors.New(option + ": it must end in /callback; what stands before is the public address of the route with " +
			"authenticated_api_console, as in https://gateway.example.com/connect/callback")
	}
	return nil
}
