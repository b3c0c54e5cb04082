// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// methodOption is one option of auth oauth2.
type methodOption struct {
	name string
	code bool // the option belongs to the grant authorization_code
	many bool // the option may be given more than once

	// grants are those that the option belongs to, if there are others; nil: all, or see code.
	grants []string

	// text returns the field of an option that takes one text. It is nil for any other option.
	text func(*Options) *string

	// oneOf are the texts that are possible; nil stands for any text.
	oneOf []string

	// config returns where the text goes when its placeholders are resolved. It is nil if the text
	// has no placeholders.
	config func(*provider.Config) *string

	// parse reads an option that does not take one text.
	parse func(opts *Options, d *caddyfile.Dispenser) error

	// given reports whether such an option is set. Only the options of some grants have it.
	given func(*Options) bool
}

// options are all options, in the order in which errors name them. The parser, the checks, and
// unseal and resolve are loops over this table.
var options = []methodOption{
	{name: "provider", parse: unmarshalProvider},
	{name: "discover", parse: unmarshalDiscover},
	{
		name: "client_name", text: func(opts *Options) *string { return &opts.ClientName },
		config: func(c *provider.Config) *string { return &c.ClientName },
	},
	{name: "registration", parse: unmarshalRegistration},
	{
		name: "token_url", text: func(opts *Options) *string { return &opts.TokenURL },
		config: func(c *provider.Config) *string { return &c.TokenURL },
	},
	{
		name: "refresh_url", code: true, text: func(opts *Options) *string { return &opts.RefreshURL },
		config: func(c *provider.Config) *string { return &c.RefreshURL },
	},
	{
		name: "authorization_url", code: true, text: func(opts *Options) *string { return &opts.AuthorizationURL },
		config: func(c *provider.Config) *string { return &c.AuthorizationURL },
	},
	{
		name: "redirect_url", code: true, text: func(opts *Options) *string { return &opts.RedirectURL },
		config: func(c *provider.Config) *string { return &c.RedirectURL },
	},
	{
		name: "issuer", code: true, text: func(opts *Options) *string { return &opts.Issuer },
		config: func(c *provider.Config) *string { return &c.Issuer },
	},
	{
		name: "revocation_url", code: true, text: func(opts *Options) *string { return &opts.RevocationURL },
		config: func(c *provider.Config) *string { return &c.RevocationURL },
	},
	{
		name: "refresh_token", code: true, text: func(opts *Options) *string { return &opts.RefreshToken },
		config: func(c *provider.Config) *string { return &c.RefreshToken },
	},
	{
		name: "assertion", grants: []string{grantJWTBearer}, parse: unmarshalAssertion,
		given: func(opts *Options) bool { return opts.Assertion != nil },
	},
	{name: "assertion_file", grants: []string{grantJWTBearer}, text: func(opts *Options) *string { return &opts.AssertionFile }},
	{name: "service_account", grants: []string{grantJWTBearer}, text: func(opts *Options) *string { return &opts.ServiceAccount }},
	{name: "subject_token", grants: []string{grantTokenExchange}, text: func(opts *Options) *string { return &opts.SubjectToken }},
	{name: "subject_token_type", grants: []string{grantTokenExchange}, text: func(opts *Options) *string { return &opts.SubjectTokenType }},
	{name: "requested_token_type", grants: []string{grantTokenExchange}, text: func(opts *Options) *string { return &opts.RequestedTokenType }},
	{name: "actor_token", grants: []string{grantTokenExchange}, text: func(opts *Options) *string { return &opts.ActorToken }},
	{name: "actor_token_type", grants: []string{grantTokenExchange}, text: func(opts *Options) *string { return &opts.ActorTokenType }},
	{
		name: "on_behalf_of", grants: []string{grantTokenExchange}, parse: unmarshalOnBehalfOf,
		given: func(opts *Options) bool { return opts.OnBehalfOf },
	},
	{
		name: "then", grants: []string{grantTokenExchange}, parse: unmarshalThen,
		given: func(opts *Options) bool { return opts.Then != nil },
	},
	{
		name: "username", grants: []string{grantPassword}, text: func(opts *Options) *string { return &opts.Username },
		config: func(c *provider.Config) *string { return &c.Username },
	},
	{
		name: "password", grants: []string{grantPassword}, text: func(opts *Options) *string { return &opts.Password },
		config: func(c *provider.Config) *string { return &c.Password },
	},
	{name: "insecure_http", parse: func(opts *Options, d *caddyfile.Dispenser) error {
		return unmarshalSwitch(d, "insecure_http", &opts.InsecureHTTP)
	}},
	{
		name: "client_id", text: func(opts *Options) *string { return &opts.ClientID },
		config: func(c *provider.Config) *string { return &c.ClientID },
	},
	{
		name: "client_secret", text: func(opts *Options) *string { return &opts.ClientSecret },
		config: func(c *provider.Config) *string { return &c.ClientSecret },
	},
	{name: "client_auth", parse: func(opts *Options, d *caddyfile.Dispenser) error {
		return unmarshalClientAuth(d, "client_auth", &opts.ClientAuth, &opts.ClientAuthOptions)
	}},
	{
		name: "refresh_client_auth", code: true,
		given: func(opts *Options) bool { return opts.RefreshClientAuth != "" || opts.RefreshClientAuthOptions != nil },
		parse: func(opts *Options, d *caddyfile.Dispenser) error {
			return unmarshalClientAuth(d, "refresh_client_auth", &opts.RefreshClientAuth, &opts.RefreshClientAuthOptions)
		},
	},
	{
		name: "token_request", text: func(opts *Options) *string { return &opts.TokenRequest },
		oneOf: []string{"form", tokenRequestJSON},
	},
	{name: "scopes", many: true, parse: unmarshalScopes},
	{
		name: "send_scope_on_refresh", code: true, given: func(opts *Options) bool { return opts.SendScopeOnRefresh },
		parse: func(opts *Options, d *caddyfile.Dispenser) error {
			return unmarshalSwitch(d, "send_scope_on_refresh", &opts.SendScopeOnRefresh)
		},
	},
	{
		name: "audience", text: func(opts *Options) *string { return &opts.Audience },
		config: func(c *provider.Config) *string { return &c.Audience },
	},
	{name: "resource", many: true, parse: unmarshalResource},
	{
		name: "authorization_param", code: true, many: true,
		given: func(opts *Options) bool { return len(opts.AuthorizationParams) > 0 },
		parse: func(opts *Options, d *caddyfile.Dispenser) error {
			return unmarshalParam(d, "authorization_param", &opts.AuthorizationParams)
		},
	},
	{name: "token_param", many: true, parse: func(opts *Options, d *caddyfile.Dispenser) error {
		return unmarshalParam(d, "token_param", &opts.TokenParams)
	}},
	{name: "token_header", many: true, parse: unmarshalTokenHeader},
	{name: "answer", parse: unmarshalAnswer},
	{name: "expires_in", parse: func(opts *Options, d *caddyfile.Dispenser) error {
		return unmarshalDuration(d, "expires_in", &opts.ExpiresIn)
	}},
	{name: "refresh_before", parse: unmarshalRefreshBefore},
	{name: "dpop", parse: func(opts *Options, d *caddyfile.Dispenser) error { return unmarshalSwitch(d, "dpop", &opts.DPoP) }},
	{name: "add_token_to", parse: unmarshalPlace},
	{name: "header_prefix", parse: unmarshalHeaderPrefix},
	{
		name: "token_field", text: func(opts *Options) *string { return &opts.TokenField },
		oneOf: []string{fieldAccessToken, fieldIDToken},
	},
	{
		name: "connection", code: true, given: func(opts *Options) bool { return opts.Connection != "" },
		parse: unmarshalConnection,
	},
	{name: "pkce", code: true, text: func(opts *Options) *string { return &opts.PKCE }, oneOf: []string{"S256", pkcePlain, pkceOff}},
	{name: "self_signed_cert", text: func(opts *Options) *string { return &opts.SelfSignedCert }},
	{name: "network_proxy", parse: (*Options).unmarshalProxy},
	{name: "timeout", parse: func(opts *Options, d *caddyfile.Dispenser) error {
		return unmarshalDuration(d, "timeout", &opts.Timeout)
	}},
}

// optionNamed returns an option, or nil.
func optionNamed(name string) *methodOption {
	i := slices.IndexFunc(options, func(o methodOption) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return &options[i]
}

// isGiven reports whether an option of some grants is set.
func (o *methodOption) isGiven(opts *Options) bool {
	if o.text != nil {
		return *o.text(opts) != ""
	}
	return o.given(opts)
}

// optionNames returns the names of the options that the grant has.
func optionNames(opts *Options) []string {
	var names []string
	for _, o := range options {
		if o.belongsTo(opts.Grant) && (!opts.second || slices.Contains(secondLeg, o.name)) {
			names = append(names, o.name)
		}
	}
	return names
}

// belongsTo reports whether a grant has the option.
func (o *methodOption) belongsTo(grant string) bool {
	return !o.code && o.grants == nil || o.code && grant == grantAuthorizationCode || slices.Contains(o.grants, grant)
}

// owners returns the grants that have the option, for an error.
func (o *methodOption) owners() string {
	if o.code {
		return strings.Join(append([]string{grantAuthorizationCode}, o.grants...), " and ")
	}
	return strings.Join(o.grants, " and ")
}
