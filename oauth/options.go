// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// methodOption is one option of auth oauth2.
type methodOption struct {
	name string
	code bool // it belongs to the grant authorization_code
	many bool // it may be given more than once

	// text returns the field of an option that takes one text; nil for any other option.
	text func(*Method) *string

	// oneOf are the texts that are possible; nil stands for any.
	oneOf []string

	// config returns where the text goes when its placeholders are resolved; nil if it has none.
	config func(*provider.Config) *string

	// parse reads an option that takes something else than one text.
	parse func(m *Method, d *caddyfile.Dispenser) error

	// given reports whether such an option is set. Only the options of authorization_code have it.
	given func(*Method) bool
}

// options are all options, in the order in which errors name them. The parser, the checks and what
// resolves placeholders are loops over this table.
var options = []methodOption{
	{
		name: "token_url", text: func(m *Method) *string { return &m.TokenURL },
		config: func(c *provider.Config) *string { return &c.TokenURL },
	},
	{
		name: "authorization_url", code: true, text: func(m *Method) *string { return &m.AuthorizationURL },
		config: func(c *provider.Config) *string { return &c.AuthorizationURL },
	},
	{
		name: "redirect_url", code: true, text: func(m *Method) *string { return &m.RedirectURL },
		config: func(c *provider.Config) *string { return &c.RedirectURL },
	},
	{
		name: "issuer", code: true, text: func(m *Method) *string { return &m.Issuer },
		config: func(c *provider.Config) *string { return &c.Issuer },
	},
	{
		name: "revocation_url", code: true, text: func(m *Method) *string { return &m.RevocationURL },
		config: func(c *provider.Config) *string { return &c.RevocationURL },
	},
	{name: "insecure_http", parse: func(m *Method, d *caddyfile.Dispenser) error {
		return unmarshalSwitch(d, "insecure_http", &m.InsecureHTTP)
	}},
	{
		name: "client_id", text: func(m *Method) *string { return &m.ClientID },
		config: func(c *provider.Config) *string { return &c.ClientID },
	},
	{
		name: "client_secret", text: func(m *Method) *string { return &m.ClientSecret },
		config: func(c *provider.Config) *string { return &c.ClientSecret },
	},
	{name: "client_auth", parse: func(m *Method, d *caddyfile.Dispenser) error {
		return unmarshalClientAuth(d, "client_auth", &m.ClientAuth, &m.ClientAuthOptions)
	}},
	{
		name: "refresh_client_auth", code: true, given: func(m *Method) bool { return m.RefreshClientAuth != "" || m.RefreshClientAuthOptions != nil },
		parse: func(m *Method, d *caddyfile.Dispenser) error {
			return unmarshalClientAuth(d, "refresh_client_auth", &m.RefreshClientAuth, &m.RefreshClientAuthOptions)
		},
	},
	{
		name: "token_request", text: func(m *Method) *string { return &m.TokenRequest },
		oneOf: []string{"form", tokenRequestJSON},
	},
	{name: "scopes", many: true, parse: (*Method).unmarshalScopes},
	{
		name: "send_scope_on_refresh", code: true, given: func(m *Method) bool { return m.SendScopeOnRefresh },
		parse: func(m *Method, d *caddyfile.Dispenser) error {
			return unmarshalSwitch(d, "send_scope_on_refresh", &m.SendScopeOnRefresh)
		},
	},
	{
		name: "audience", text: func(m *Method) *string { return &m.Audience },
		config: func(c *provider.Config) *string { return &c.Audience },
	},
	{name: "resource", many: true, parse: (*Method).unmarshalResource},
	{
		name: "authorization_param", code: true, many: true,
		given: func(m *Method) bool { return len(m.AuthorizationParams) > 0 },
		parse: func(m *Method, d *caddyfile.Dispenser) error {
			return unmarshalParam(d, "authorization_param", &m.AuthorizationParams)
		},
	},
	{name: "token_param", many: true, parse: func(m *Method, d *caddyfile.Dispenser) error {
		return unmarshalParam(d, "token_param", &m.TokenParams)
	}},
	{name: "expires_in", parse: func(m *Method, d *caddyfile.Dispenser) error {
		return unmarshalDuration(d, "expires_in", &m.ExpiresIn)
	}},
	{name: "refresh_before", parse: (*Method).unmarshalRefreshBefore},
	{name: "add_token_to", parse: (*Method).unmarshalPlace},
	{name: "header_prefix", parse: (*Method).unmarshalHeaderPrefix},
	{
		name: "token_field", text: func(m *Method) *string { return &m.TokenField },
		oneOf: []string{fieldAccessToken, fieldIDToken},
	},
	{
		name: "connection", code: true, given: func(m *Method) bool { return m.Connection != "" },
		parse: (*Method).unmarshalConnection,
	},
	{name: "pkce", code: true, text: func(m *Method) *string { return &m.PKCE }, oneOf: []string{"S256", pkceOff}},
	{name: "self_signed_cert", text: func(m *Method) *string { return &m.SelfSignedCert }},
	{name: "network_proxy", parse: (*Method).unmarshalProxy},
	{name: "timeout", parse: func(m *Method, d *caddyfile.Dispenser) error {
		return unmarshalDuration(d, "timeout", &m.Timeout)
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

// isGiven reports whether an option of authorization_code is set.
func (o *methodOption) isGiven(m *Method) bool {
	if o.text != nil {
		return *o.text(m) != ""
	}
	return o.given(m)
}

// ownOptions returns the names of the options that the grant has.
func (m *Method) ownOptions() []string {
	var names []string
	for _, o := range options {
		if m.Interactive() || !o.code {
			names = append(names, o.name)
		}
	}
	return names
}

// The tokens that can be sent: the values of token_field.
const (
	fieldAccessToken = "access_token"
	fieldIDToken     = "id_token"
)
