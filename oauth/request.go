// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// tokenRequest is what a token request says, with all placeholders resolved.
type tokenRequest struct {
	tokenURL, id, secret, audience string
	scopes, resource               []string
	params                         map[string]string
}

// resolve resolves the placeholders as of now: a secret in a file may have been rotated.
func (m *Method) resolve() (*tokenRequest, error) {
	req := &tokenRequest{params: make(map[string]string, len(m.plain.params))}
	var err error
	line := func(option, text string) string {
		if err != nil || text == "" {
			return ""
		}
		var val string
		val, err = value.ResolveLine("auth oauth2: "+option, text)
		return val
	}
	req.tokenURL = line("token_url", m.plain.tokenURL)
	req.id = line("client_id", m.plain.clientID)
	req.secret = line("client_secret", m.plain.clientSecret)
	req.audience = line("audience", m.plain.audience)
	for _, text := range m.plain.scopes {
		req.scopes = append(req.scopes, strings.FieldsFunc(line("scopes", text), betweenScopes)...)
	}
	for _, text := range m.plain.resource {
		req.resource = append(req.resource, line("resource", text))
	}
	for name, text := range m.plain.params {
		req.params[name] = line("token_param "+name, text)
	}
	if err != nil {
		return nil, err
	}
	return req, m.checkTokenURL(req.tokenURL)
}

func betweenScopes(r rune) bool { return r == ',' || r == ' ' }

func (m *Method) checkTokenURL(text string) error {
	const option = "auth oauth2: token_url"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New(option + ": it is no URL; it looks like https://provider.example/oauth/token")
	case u.User != nil:
		return errors.New(option + ": a user name or password cannot stand in it; see client_id and client_secret")
	case u.Fragment != "":
		return errors.New(option + ": a fragment (#…) is never sent to a server; remove it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !m.InsecureHTTP:
		return errors.New(option + ": http sends the client's secret in clear; write https, or insecure_http if you must")
	}
	return nil
}

// fetch makes one token request. Its errors are *Error, or say that the context has ended.
func (m *Method) fetch(ctx context.Context, client *http.Client) (*Token, error) {
	req, err := m.resolve()
	if err != nil {
		return nil, &Error{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(m.Timeout))
	defer cancel()

	c := &call{json: m.TokenRequest == "json"}
	config := clientcredentials.Config{
		ClientID: req.id, ClientSecret: req.secret, TokenURL: req.tokenURL, Scopes: req.scopes,
		EndpointParams: req.form(), AuthStyle: oauth2.AuthStyleInParams,
	}
	switch m.ClientAuth {
	case "", authBasic:
		config.AuthStyle = oauth2.AuthStyleInHeader
	case authBasicRaw:
		c.username, c.password = req.id, req.secret
		config.ClientID, config.ClientSecret = "", ""
	}
	ctx = context.WithValue(context.WithValue(ctx, callKey{}, c), oauth2.HTTPClient, client)
	if _, err := config.Token(ctx); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, &Error{Host: host(req.tokenURL), Err: networkError(err)}
	}
	if m.TokenField == "id_token" && c.got.idToken == "" {
		return nil, &Error{Host: host(req.tokenURL), Status: 200, Err: errors.New("the answer has no id_token that can be sent")}
	}
	token := newToken(c.got, c.received, time.Duration(m.ExpiresIn))
	token.identity = m.identity(req) // as of this request: a value from a file may have changed since the configuration loaded
	return token, nil
}

// form returns the parameters that golang.org/x/oauth2 has no field for.
func (r *tokenRequest) form() url.Values {
	form := make(url.Values)
	if r.audience != "" {
		form.Set("audience", r.audience)
	}
	if len(r.resource) > 0 {
		form["resource"] = r.resource
	}
	for name, val := range r.params {
		form.Set(name, val)
	}
	return form
}

func host(tokenURL string) string {
	u, err := url.Parse(tokenURL)
	if err != nil {
		return ""
	}
	return u.Host
}
