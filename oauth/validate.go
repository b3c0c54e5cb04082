// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// reservedParams are parameters of token requests that have an option of their own, or are the
// protocol's.
var reservedParams = []string{
	"grant_type", "client_id", "client_secret", "scope", "audience", "resource", "refresh_token", "code", "redirect_uri", "code_verifier",
}

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (m *Method) Validate() error {
	errs := []error{
		checkOneOf("grant", m.Grant, grantClientCredentials, grantAuthorizationCode),
		checkOneOf("client_auth", m.ClientAuth, provider.ClientAuths()...),
		checkOneOf("refresh_client_auth", m.RefreshClientAuth, provider.ClientAuths()...),
	}
	for _, o := range options {
		if o.oneOf != nil {
			errs = append(errs, checkOneOf(o.name, *o.text(m), o.oneOf...))
		}
	}
	err := errors.Join(errs...)
	switch {
	case err != nil:
		return err
	case m.Grant == "":
		return errors.New("auth oauth2: the grant is missing; write auth oauth2 client_credentials { … } or auth oauth2 authorization_code { … }")
	case m.TokenURL == "":
		return errors.New("auth oauth2: token_url is missing; it is the URL of the provider's token endpoint")
	case m.ClientID == "":
		return errors.New("auth oauth2: client_id is missing")
	case m.ClientSecret == "" && needsSecret(m.ClientAuth):
		return errors.New("auth oauth2: client_secret is missing; best write {env.NAME} (or client_auth none, for a client without a secret)")
	case m.ClientSecret != "" && !needsSecret(m.ClientAuth) && (m.RefreshClientAuth == "" || !needsSecret(m.RefreshClientAuth)):
		return fmt.Errorf("auth oauth2: client_secret is of no use with client_auth %s; remove one", m.ClientAuth)
	case m.ExpiresIn < 0 || time.Duration(m.ExpiresIn) > provider.MaxLifetime:
		return errors.New("auth oauth2: expires_in: it is not between 0 and ten years")
	case m.RefreshBefore != nil && *m.RefreshBefore < 0:
		return errors.New("auth oauth2: refresh_before: it is below zero; never renews a token when it has ended")
	case m.Timeout < 0:
		return errors.New("auth oauth2: timeout: it is below zero")
	case slices.Contains(m.Resource, ""):
		return errors.New("auth oauth2: resource: a URI is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(m.TokenParams)) {
		if slices.Contains(reservedParams, name) || name == "" {
			return fmt.Errorf("auth oauth2: token_param: %q has an option of its own, or belongs to the protocol", name)
		}
	}
	for _, scope := range m.Scopes {
		if strings.ContainsAny(scope, " ,\"\\") || scope == "" {
			return fmt.Errorf("auth oauth2: scopes: %s is no scope (RFC 6749 §3.3)", value.Shape(scope))
		}
	}
	if err := m.checkClientAuth(); err != nil {
		return err
	}
	if err := m.checkStandIns(); err != nil {
		return err
	}
	if err := m.checkAuthorization(); err != nil {
		return err
	}
	return m.checkPlace()
}

// checkOneOf reports a value that is not possible. "" stands for the default.
func checkOneOf(option, val string, possible ...string) error {
	if val != "" && !slices.Contains(possible, val) {
		return fmt.Errorf("auth oauth2: %s: %s is not one of %s", option, value.Quote(val, possible...), strings.Join(possible, ", "))
	}
	return nil
}

// protocolParams are parameters of authorization requests that belong to the flow. Whoever could
// change one would break it, or its protection.
var protocolParams = []string{
	"state", "redirect_uri", "response_type", "client_id", "code_challenge", "code_challenge_method",
}

// checkAuthorization checks what belongs to the grant authorization_code.
func (m *Method) checkAuthorization() error {
	if !m.Interactive() {
		for _, o := range options {
			if o.code && o.isGiven(m) {
				return fmt.Errorf("auth oauth2: %s: it belongs to the grant authorization_code; remove it, or change the grant", o.name)
			}
		}
		return nil
	}
	switch {
	case m.AuthorizationURL == "":
		return errors.New("auth oauth2: authorization_url is missing; it is the URL of the provider's page where people give their consent")
	case m.RedirectURL == "":
		return errors.New("auth oauth2: redirect_url is missing; it is the public URL of authenticated_api_console's route and /callback, " +
			"such as https://gateway.example.com/connect/callback")
	case m.ClientSecret == "" && m.RefreshClientAuth != "" && needsSecret(m.RefreshClientAuth):
		return fmt.Errorf("auth oauth2: refresh_client_auth: %s needs a client_secret", m.RefreshClientAuth)
	}
	for _, name := range slices.Sorted(maps.Keys(m.AuthorizationParams)) {
		if slices.Contains(protocolParams, name) || name == "" {
			return fmt.Errorf("auth oauth2: authorization_param: %q belongs to the protocol, and is made for each flow", name)
		}
		if name == "response_mode" && m.AuthorizationParams[name] != "query" {
			return errors.New("auth oauth2: authorization_param: response_mode: the callback takes what stands in the query only; remove it")
		}
	}
	return checkConnection(m.Connection, m.ConnectionTrusted)
}

// clientChosen matches placeholders whose value a client chooses: header fields, query parameters,
// cookies, and whatever else a request says of itself.
var clientChosen = regexp.MustCompile(`\{http\.(request\.|regexp\.)`)

// authenticated matches those among them that a client does not choose.
var authenticated = regexp.MustCompile(`\{http\.request\.(tls\.client|remote)[.}]`)

func checkConnection(text string, trusted bool) error {
	const option = "auth oauth2: connection"
	if text == "" {
		return nil
	}
	if err := value.CheckLine(option, text); err != nil {
		return err
	}
	if !placeholder.MatchString(text) {
		return errors.New(option + ": there is no placeholder in it, so all requests would share a connection; " +
			"write {http.auth.user.id}, or leave it out for a shared one")
	}
	found := placeholder.FindAllString(text, -1)
	shown := make([]string, len(found))
	for i, f := range found {
		shown[i] = value.ShowPlaceholder(f[1 : len(f)-1])
	}
	if len(found) > 1 && !trusted {
		return fmt.Errorf("%s: the values of %s can run into each other, so that two users have one connection (\"ann\" and \"x1\", \"annx\" "+
			"and \"1\"); use one placeholder, or write the word trusted behind it if that cannot be", option, strings.Join(shown, " and "))
	}
	for i, found := range found {
		if clientChosen.MatchString(found) && !authenticated.MatchString(found) && !trusted {
			return fmt.Errorf("%s: clients choose %s themselves, so one could take another's connection; use {http.auth.user.id}, or "+
				"write the word trusted behind it if a proxy in front sets it and clients cannot", option, shown[i])
		}
	}
	return nil
}

// placeholder matches placeholders of requests.
var placeholder = regexp.MustCompile(`\{[^{}$]*\.[^{}]*\}`)

func (m *Method) checkPlace() error {
	p := m.AddTokenTo
	switch {
	case p == nil:
	case (p.Header == "") == (p.Query == ""):
		return errors.New("auth oauth2: add_token_to: takes header [<field>] or query [<key>]")
	case p.Header != "":
		if err := auth.CheckFieldName("auth oauth2: add_token_to", p.Header); err != nil {
			return err
		}
	default:
		if m.HeaderPrefix != nil {
			return errors.New("auth oauth2: header_prefix: a prefix is possible in a header only; remove it")
		}
		return auth.CheckQueryKey("auth oauth2: add_token_to", p.Query)
	}
	if m.HeaderPrefix != nil && strings.Contains(*m.HeaderPrefix, "{") {
		return errors.New("auth oauth2: header_prefix: no placeholder is possible here; write it out")
	}
	if m.HeaderPrefix != nil && (!httpguts.ValidHeaderFieldValue(*m.HeaderPrefix) || strings.TrimSpace(*m.HeaderPrefix) != *m.HeaderPrefix) {
		return errors.New("auth oauth2: header_prefix: it has a blank at an end, or a control character")
	}
	return nil
}
