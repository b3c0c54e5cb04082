// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// client is what a provider is told, with all placeholders resolved.
type client struct {
	tokenURL, id, secret, audience                       string
	authorizationURL, redirectURL, issuer, revocationURL string
	scopes, resource                                     []string
	params, authorizationParams                          map[string]string
}

// resolve resolves the placeholders as of now: a secret in a file may have been rotated.
func (m *Method) resolve() (*client, error) {
	c := new(client)
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
	c.tokenURL = line("token_url", m.plain.tokenURL)
	c.authorizationURL = line("authorization_url", m.plain.authorizationURL)
	c.redirectURL = line("redirect_url", m.plain.redirectURL)
	c.issuer = line("issuer", m.plain.issuer)
	c.revocationURL = line("revocation_url", m.plain.revocationURL)
	c.id = line("client_id", m.plain.clientID)
	c.secret = line("client_secret", m.plain.clientSecret)
	c.audience = line("audience", m.plain.audience)
	for _, text := range m.plain.scopes {
		c.scopes = append(c.scopes, strings.FieldsFunc(line("scopes", text), betweenScopes)...)
	}
	for _, text := range m.plain.resource {
		c.resource = append(c.resource, line("resource", text))
	}
	c.params = lines("token_param", m.plain.params)
	c.authorizationParams = lines("authorization_param", m.plain.authorizationParams)
	err = cmp.Or(err, value.CheckSecret("auth oauth2: client_id", c.id), value.CheckSecret("auth oauth2: client_secret", c.secret))
	if err != nil {
		return nil, err
	}
	return c, m.checkURLs(c)
}

func betweenScopes(r rune) bool { return r == ',' || r == ' ' }

// checkURLs reports what is wrong with the resolved URLs.
func (m *Method) checkURLs(c *client) error {
	if err := m.checkEndpoint("token_url", c.tokenURL); err != nil {
		return err
	}
	if !m.Interactive() {
		return nil
	}
	if err := m.checkEndpoint("authorization_url", c.authorizationURL); err != nil {
		return err
	}
	if c.revocationURL != "" {
		if err := m.checkEndpoint("revocation_url", c.revocationURL); err != nil {
			return err
		}
	}
	if err := checkOwnQuery(c); err != nil {
		return err
	}
	return checkRedirect(c.redirectURL)
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
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !m.InsecureHTTP:
		return errors.New(option + ": http sends secrets in clear; write https, or insecure_http if you must")
	}
	return nil
}

// checkOwnQuery refuses parameters in authorization_url that this module sends too: a provider may take the one or the other.
func checkOwnQuery(c *client) error {
	u, err := url.Parse(c.authorizationURL)
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
		{"scope", "scopes", len(c.scopes) > 0},
		{"audience", "audience", c.audience != ""},
		{"resource", "resource", len(c.resource) > 0},
	} {
		if own.Has(option.param) && option.given {
			return fmt.Errorf("auth oauth2: authorization_url: %s is in its query and in the option %s; remove one", option.param, option.name)
		}
	}
	for name := range c.authorizationParams {
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

// ask makes one token request. Its errors are *Error. The call is returned also with an error.
func (m *Method) ask(ctx context.Context, hc *http.Client, way string, send func(context.Context, *oauth2.Config) error) (*call, *client, error) {
	to, err := m.resolve()
	if err != nil {
		return new(call), nil, &Error{Err: err}
	}
	if err := m.unchanged(to); err != nil {
		return new(call), to, &Error{Err: err}
	}
	ctx, cancel := withTimeout(ctx, time.Duration(m.Timeout))
	defer cancel()

	c := &call{json: m.TokenRequest == "json", more: to.form(), idToken: m.TokenField == fieldIDToken, host: host(to.tokenURL), secrets: m.secrets(to)}
	config := &oauth2.Config{
		ClientID: to.id, ClientSecret: to.secret, Scopes: to.scopes, RedirectURL: to.redirectURL,
		Endpoint: oauth2.Endpoint{AuthURL: to.authorizationURL, TokenURL: to.tokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	switch way {
	case "", authBasic:
		config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	case authBasicRaw:
		c.username, c.password = to.id, to.secret
		config.ClientID, config.ClientSecret = "", ""
	case authNone:
		config.ClientSecret = ""
	}
	ctx = context.WithValue(context.WithValue(ctx, callKey{}, c), oauth2.HTTPClient, hc)
	if err := send(ctx, config); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return c, to, e
		}
		return c, to, &Error{Host: host(to.tokenURL), Err: networkError(err)}
	}
	return c, to, nil
}

// unchanged reports whether a client is not the one that the configuration was loaded with. What people have granted is for that one and
// its provider: another one would refuse the refresh token for good.
func (m *Method) unchanged(to *client) error {
	if m.Interactive() && m.bound != "" && m.identity(to) != m.bound {
		return errors.New("client_id or token_url is not what it was when the configuration was loaded; reload Caddy")
	}
	return nil
}

// fetch asks for a token by client credentials (RFC 6749 §4.4). before is the one in whose place it comes, or nil.
func (m *Method) fetch(ctx context.Context, hc *http.Client, before *Token) (*Token, error) {
	c, to, err := m.ask(ctx, hc, m.ClientAuth, func(ctx context.Context, config *oauth2.Config) error {
		cc := clientcredentials.Config{
			ClientID: config.ClientID, ClientSecret: config.ClientSecret, TokenURL: config.Endpoint.TokenURL,
			Scopes: config.Scopes, AuthStyle: config.Endpoint.AuthStyle,
		}
		_, err := cc.Token(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.issued(c, to, before), nil
}

// exchange redeems an authorization code (RFC 6749 §4.1.3). It is sent once: a provider withdraws what it has issued for a code
// that comes twice.
func (m *Method) exchange(ctx context.Context, hc *http.Client, code, verifier string) (*Token, error) {
	c, to, err := m.ask(ctx, hc, m.ClientAuth, func(ctx context.Context, config *oauth2.Config) error {
		var opts []oauth2.AuthCodeOption
		if verifier != "" {
			opts = append(opts, oauth2.VerifierOption(verifier))
		}
		_, err := config.Exchange(ctx, code, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.issued(c, to, nil), nil
}

// issued returns the token of an answer.
func (m *Method) issued(c *call, to *client, before *Token) *Token {
	token := newToken(c.got, c.received, m.term(), before)
	token.identity = m.identity(to) // as of this request: a value from a file may have changed since the configuration loaded
	return token
}

// term returns how long tokens are used.
func (m *Method) term() term {
	return term{time.Duration(m.ExpiresIn), m.TokenField == fieldIDToken, (*time.Duration)(m.RefreshBefore)}
}

// redeem redeems a refresh token (RFC 6749 §6). The call says whether an answer was lost, and what is in a bad one.
func (m *Method) redeem(ctx context.Context, hc *http.Client, refreshToken string) (*call, error) {
	way := m.RefreshClientAuth
	if way == "" {
		way = m.ClientAuth
	}
	c, _, err := m.ask(ctx, hc, way, func(ctx context.Context, config *oauth2.Config) error {
		if m.SendScopeOnRefresh && len(config.Scopes) > 0 {
			callOf(ctx).more.Set("scope", strings.Join(config.Scopes, " "))
		}
		_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
		return err
	})
	return c, err
}

// form returns the parameters that golang.org/x/oauth2 has no field for.
func (c *client) form() url.Values {
	form := make(url.Values)
	if c.audience != "" {
		form.Set("audience", c.audience)
	}
	if len(c.resource) > 0 {
		form["resource"] = c.resource
	}
	for name, val := range c.params {
		form.Set(name, val)
	}
	return form
}

func host(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
