// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// reservedParams are parameters of token requests that have an option of their own, or belong to
// the protocol.
var reservedParams = []string{
	"client_secret", "audience", "resource", "refresh_token", "code", "redirect_uri", "code_verifier",
}

// overridable are parameters of token requests that belong to the protocol too, and that some
// providers want otherwise.
var overridable = []string{"grant_type", "scope", "client_id"}

// paramRemedy says what to write in place of a reserved parameter.
func paramRemedy(name string) string {
	switch name {
	case "client_secret", "audience", "resource", "refresh_token":
		return "write the option " + name
	case "redirect_uri":
		return "write redirect_url"
	case "code_verifier":
		return "write pkce"
	default:
		return "remove it"
	}
}

// Validate implements caddy.Validator. It checks what can be checked without resolving
// placeholders.
func (opts *Options) Validate() error {
	if err := applyPreset(opts); err != nil {
		return err
	}
	errs := []error{
		checkOneOf("grant", opts.Grant, grants...),
		checkOneOf("client_auth", opts.ClientAuth, provider.ClientAuths()...),
		checkOneOf("refresh_client_auth", opts.RefreshClientAuth, provider.ClientAuths()...),
	}
	for _, o := range options {
		if o.oneOf != nil {
			errs = append(errs, checkOneOf(o.name, *o.text(opts), o.oneOf...))
		}
	}
	err := errors.Join(errs...)
	switch {
	case err != nil:
		return err
	case opts.Grant == "":
		return errors.New("auth oauth2: the grant is missing; write auth oauth2 client_credentials { … } or auth oauth2 authorization_code { … }")
	case opts.TokenURL == "" && opts.ServiceAccount == "" && !discovers(opts):
		return errors.New("auth oauth2: token_url is missing; it is the URL of the provider's token endpoint (or write discover <issuer>)")
	case opts.ClientID == "" && !nameless(opts) && !discovers(opts):
		return errors.New("auth oauth2: client_id is missing")
	case checkClientSecret(opts) != nil:
		return checkClientSecret(opts)
	case opts.ExpiresIn < 0 || time.Duration(opts.ExpiresIn) > provider.MaxLifetime:
		return errors.New("auth oauth2: expires_in: it is not between 0 and ten years")
	case opts.RefreshBefore != nil && *opts.RefreshBefore < 0:
		return errors.New("auth oauth2: refresh_before: it is below zero; never renews a token when it has ended")
	case opts.Timeout < 0:
		return errors.New("auth oauth2: timeout: it is below zero")
	case slices.Contains(opts.Resource, ""):
		return errors.New("auth oauth2: resource: a URI is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(opts.TokenParams)) {
		if slices.Contains(reservedParams, name) || name == "" {
			return fmt.Errorf("auth oauth2: token_param: %q has an option of its own, or belongs to the protocol; %s", name, paramRemedy(name))
		}
	}
	if err := errors.Join(checkTokenHeader(opts), opts.Answer.check(), checkGrant(opts)); err != nil {
		return err
	}
	for _, scope := range opts.Scopes {
		if strings.ContainsAny(scope, " ,\"\\") || scope == "" {
			return fmt.Errorf("auth oauth2: scopes: %s is no scope (RFC 6749 §3.3)", value.Shape(scope))
		}
	}
	return cmp.Or(checkDiscover(opts), checkDPoP(opts), checkClientAuth(opts), checkWritten(opts), checkAuthorization(opts), checkPlace(opts))
}

// checkOneOf reports a value that is not possible. The empty value stands for the default.
func checkOneOf(option, val string, possible ...string) error {
	if val != "" && !slices.Contains(possible, val) {
		return fmt.Errorf("auth oauth2: %s: %s is not one of %s", option, value.Quote(val, possible...), strings.Join(possible, ", "))
	}
	return nil
}

// protocolParams are parameters of authorization requests that belong to the flow. An operator who
// changed one would break the flow, or its protection.
var protocolParams = []string{
	"state", "redirect_uri", "response_type", "client_id", "code_challenge", "code_challenge_method",
}

// checkAuthorization checks the options of the grant authorization_code.
func checkAuthorization(opts *Options) error {
	for _, o := range options {
		if !o.belongsTo(opts.Grant) && o.isGiven(opts) {
			return fmt.Errorf("auth oauth2: %s: it belongs to the grant %s; remove it, or change the grant", o.name, o.owners())
		}
	}
	if !opts.Interactive() {
		return nil
	}
	switch {
	case opts.RefreshToken != "" && opts.PerUser():
		return errors.New("auth oauth2: refresh_token: it is for the connection that all requests share, and connection gives each user one; " +
			"remove one, or use `caddy authenticated-api adopt <name> --connection <user>`")
	case opts.RefreshToken != "" && opts.AuthorizationURL == "" && opts.RedirectURL == "":
		return nil // nobody connects an account in a browser
	case opts.AuthorizationURL == "" && !discovers(opts):
		return errors.New("auth oauth2: authorization_url is missing; it is the URL of the provider's page where people give their consent (or write discover <issuer>)")
	case opts.RedirectURL == "":
		return errors.New("auth oauth2: redirect_url is missing; it is the public URL of authenticated_api_console's route and /callback, " +
			"such as https://gateway.example.com/connect/callback")
	case opts.ClientSecret == "" && opts.RefreshClientAuth != "" && needsSecret(opts.RefreshClientAuth):
		return fmt.Errorf("auth oauth2: refresh_client_auth: %s needs a client_secret", opts.RefreshClientAuth)
	}
	for _, name := range slices.Sorted(maps.Keys(opts.AuthorizationParams)) {
		if slices.Contains(protocolParams, name) || name == "" {
			return fmt.Errorf("auth oauth2: authorization_param: %q belongs to the protocol, and is made for each flow", name)
		}
		if name == "response_mode" && opts.AuthorizationParams[name] != "query" {
			return errors.New("auth oauth2: authorization_param: response_mode: the callback takes what stands in the query only; remove it")
		}
	}
	return value.CheckConnection("auth oauth2: connection", opts.Connection, opts.ConnectionTrusted)
}

// checkPlace checks where the token goes.
func checkPlace(opts *Options) error {
	p := opts.AddTokenTo
	switch {
	case p == nil:
	case (p.Header == "") == (p.Query == ""):
		return errors.New("auth oauth2: add_token_to: takes header [<field>] or query [<key>]")
	case p.Header != "":
		if err := auth.CheckFieldName("auth oauth2: add_token_to", p.Header); err != nil {
			return err
		}
	default:
		if opts.HeaderPrefix != nil {
			return errors.New("auth oauth2: header_prefix: a prefix is possible in a header only; remove it")
		}
		return auth.CheckQueryKey("auth oauth2: add_token_to", p.Query)
	}
	return auth.CheckPrefix("auth oauth2", opts.HeaderPrefix)
}
