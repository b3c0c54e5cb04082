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
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// unseal opens the sealed values of the options.
func (opts *Options) unseal(ctx caddy.Context) error {
	c := &opts.texts
	c.Scopes, c.Resource = slices.Clone(opts.Scopes), slices.Clone(opts.Resource)
	c.TokenParams, c.AuthorizationParams = maps.Clone(opts.TokenParams), maps.Clone(opts.AuthorizationParams)
	c.TokenHeader = maps.Clone(opts.TokenHeader)
	var texts []*string
	for _, o := range options {
		if o.config != nil {
			*o.config(c) = *o.text(opts)
			texts = append(texts, o.config(c))
		}
	}
	for i := range c.Scopes {
		texts = append(texts, &c.Scopes[i])
	}
	for i := range c.Resource {
		texts = append(texts, &c.Resource[i])
	}
	if discovers(opts) {
		opts.discoverText = *opts.Discover
		texts = append(texts, &opts.discoverText)
	}
	if err := value.UnsealAll(ctx, "auth oauth2", texts...); err != nil {
		return err
	}
	if err := unsealClientAuth(ctx, opts); err != nil {
		return err
	}
	if err := unsealParams(ctx, "token_param", c.TokenParams); err != nil {
		return err
	}
	if err := unsealParams(ctx, "token_header", c.TokenHeader); err != nil {
		return err
	}
	if err := unsealParams(ctx, "authorization_param", c.AuthorizationParams); err != nil {
		return err
	}
	return opts.callers.provision(ctx, opts)
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

// resolve resolves the placeholders. It is called for each request to the provider, since a
// secret in a file may have been rotated.
func (opts *Options) resolve() (*provider.Config, error) {
	c := &provider.Config{
		ClientAuth: clientAuthWay(opts), RefreshClientAuth: opts.RefreshClientAuth, ScopeOnRefresh: opts.SendScopeOnRefresh,
		ScopeSeparator: opts.separator, Answer: opts.Answer.paths(), PKCEPlain: opts.PKCE == pkcePlain,
		JSON: opts.TokenRequest == tokenRequestJSON, IDToken: opts.TokenField == fieldIDToken, Timeout: time.Duration(opts.Timeout),
	}
	var err error
	line := func(option, text string) string {
		if err != nil || text == "" {
			return ""
		}
		var val string
		if slices.Contains(endpointURLs, option) {
			val, err = wire.ResolveURL("auth oauth2: "+option, text, nil)
		} else {
			val, err = value.ResolveLine("auth oauth2: "+option, text)
		}
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
			*o.config(c) = line(o.name, *o.config(&opts.texts))
		}
	}
	for _, text := range opts.texts.Scopes {
		c.Scopes = append(c.Scopes, strings.FieldsFunc(line("scopes", text), betweenScopes)...)
	}
	for _, text := range opts.texts.Resource {
		c.Resource = append(c.Resource, line("resource", text))
	}
	c.TokenParams = lines("token_param", opts.texts.TokenParams)
	c.AuthorizationParams = lines("authorization_param", opts.texts.AuthorizationParams)
	c.TokenHeader = lines("token_header", opts.texts.TokenHeader)
	c.Secrets = append(resolvedOnes(opts.TokenParams, c.TokenParams), resolvedOnes(opts.TokenHeader, c.TokenHeader)...)
	for _, name := range credentials {
		err = cmp.Or(err, value.CheckSecret("auth oauth2: "+name, *optionNamed(name).config(c)))
	}
	if err != nil {
		return nil, err
	}
	if err := resolveClientAuth(opts, c); err != nil {
		return nil, err
	}
	return c, checkURLs(opts, c)
}

// endpointURLs are the options that are the URL of an endpoint. A placeholder in one brings a
// segment, a value of the query, a host, or the beginning of the URL.
var endpointURLs = []string{"token_url", "refresh_url", "authorization_url", "revocation_url"}

// resolvedOnes returns the values that do not stand in the configuration in plain text.
func resolvedOnes(written, resolved map[string]string) []string {
	var secrets []string
	for name, val := range resolved {
		if val != written[name] {
			secrets = append(secrets, val)
		}
	}
	return secrets
}

func betweenScopes(r rune) bool { return r == ',' || r == ' ' }

// checkURLs checks the resolved URLs.
func checkURLs(opts *Options, c *provider.Config) error {
	if c.TokenURL != "" || !discovers(opts) {
		if err := checkEndpoint(opts, "token_url", c.TokenURL); err != nil {
			return err
		}
	}
	if !opts.Interactive() {
		return nil
	}
	for option, text := range map[string]string{"revocation_url": c.RevocationURL, "refresh_url": c.RefreshURL} {
		if text == "" {
			continue
		}
		if err := checkEndpoint(opts, option, text); err != nil {
			return err
		}
	}
	if c.AuthorizationURL == "" && c.RedirectURL == "" {
		return nil // refresh_token is all that there is
	}
	if c.AuthorizationURL != "" || !discovers(opts) {
		if err := checkEndpoint(opts, "authorization_url", c.AuthorizationURL); err != nil {
			return err
		}
	}
	if err := checkOwnQuery(c); err != nil {
		return err
	}
	return checkRedirect(c.RedirectURL)
}

// checkEndpoint checks the resolved URL of an endpoint of the provider.
func checkEndpoint(opts *Options, option, text string) error {
	option = "auth oauth2: " + option
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New(option + ": it is no URL; it looks like https://provider.example/oauth/token")
	case u.User != nil:
		return errors.New(option + ": a user name or password cannot stand in it; see client_id and client_secret")
	case u.Fragment != "":
		return errors.New(option + ": a fragment (#…) is never sent to a server; remove it")
	case u.Scheme == "http" && option != "auth oauth2: authorization_url" && presentsCertificate(opts):
		return errors.New(option + ": client_auth tls_client_auth needs https; only TLS presents the client certificate")
	case u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) && !opts.InsecureHTTP:
		return errors.New(option + ": http sends secrets in clear; write https, or insecure_http if you must")
	}
	return nil
}

// checkOwnQuery refuses parameters in the query of authorization_url that this module sends too: a
// provider might take either of the two values.
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

// checkRedirect checks the resolved redirect URL.
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
