// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth oauth2 client_credentials|authorization_code|jwt_bearer|token_exchange|password {
//	    provider              <name> [<tenant>]
//	    discover              [<issuer>]
//	    client_name           <name>
//	    registration          metadata_document|dynamic...
//	    token_url             <url>
//	    refresh_url           <url>
//	    authorization_url     <url>
//	    redirect_url          <url>
//	    issuer                <url>
//	    revocation_url        <url>
//	    insecure_http
//	    client_id             <id>
//	    client_secret         <secret>
//	    client_auth           client_secret_basic|client_secret_basic_raw|client_secret_post|none
//	    client_auth           private_key_jwt|client_secret_jwt|tls_client_auth { <option> … }
//	    client_auth           assertion_file <path>
//	    refresh_token         <token>
//	    refresh_client_auth   <as client_auth>
//	    token_request         form|json
//	    scopes                <scope...>
//	    send_scope_on_refresh
//	    audience              <uri>
//	    resource              <uri...> | off
//	    authorization_param   <key> <value>
//	    token_param           <key> <value>
//	    token_header          <field> <value>
//	    answer                { access_token|refresh_token|id_token|expires_in <path> … }
//	    assertion             { issuer|subject <text>; claim <name> <value>; <as private_key_jwt> }
//	    assertion_file        <path>
//	    service_account       <json>
//	    subject_token         <placeholder>
//	    subject_token_type    <type>
//	    requested_token_type  <type>
//	    actor_token           <token>
//	    actor_token_type      <type>
//	    on_behalf_of
//	    then jwt_bearer       { token_url <url>; client_id <id>; client_auth …; scopes … }
//	    username              <name>
//	    password              <password>
//	    expires_in            <duration>
//	    refresh_before        <duration> | never
//	    dpop
//	    add_token_to          header [<field>] | query [<key>]
//	    header_prefix         <prefix>
//	    token_field           access_token|id_token
//	    connection            <placeholder> [trusted]
//	    pkce                  S256|plain|off
//	    self_signed_cert      <pem>
//	    network_proxy         none | url <url> | <module> ...
//	    timeout               <duration>
//	}
func (opts *Options) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if !d.AllArgs(&opts.Grant) {
		return d.Errf("auth oauth2: takes a grant, one of %s: auth oauth2 client_credentials { … }", strings.Join(grants, ", "))
	}
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := optionNamed(d.Val())
		if o == nil {
			return d.Errf("auth oauth2: %s", option.Unrecognized(d.Val(), optionNames(opts)...))
		}
		if opts.second && !slices.Contains(secondLeg, o.name) {
			return d.Errf("auth oauth2: then: %s: a second leg has the options %s", o.name, strings.Join(secondLeg, ", "))
		}
		if given[o.name] && !o.many {
			return d.Errf("auth oauth2: %s: given twice", o.name)
		}
		given[o.name] = true
		if err := unmarshalOption(opts, d, o); err != nil {
			return err
		}
	}
	if err := checkParsed(opts); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// isParam reports whether a parameter belongs to the protocol, or to many providers, so that
// errors may name it.
func isParam(name string) bool {
	return slices.Contains(reservedParams, name) || slices.Contains(overridable, name) || slices.Contains(protocolParams, name) ||
		slices.Contains([]string{"access_type", "login_hint", "prompt", "response_mode", "account_id", "tenant"}, name)
}

func unmarshalOption(opts *Options, d *caddyfile.Dispenser, o *methodOption) error {
	if o.text == nil {
		return o.parse(opts, d)
	}
	if field := o.text(opts); !d.AllArgs(field) || *field == "" {
		return d.Errf("auth oauth2: %s: takes one value", o.name)
	}
	return nil
}

func unmarshalScopes(opts *Options, d *caddyfile.Dispenser) error {
	for _, arg := range d.RemainingArgs() {
		for scope := range strings.FieldsFuncSeq(arg, betweenScopes) {
			if !slices.Contains(opts.Scopes, scope) {
				opts.Scopes = append(opts.Scopes, scope)
			}
		}
	}
	if len(opts.Scopes) == 0 {
		return d.Errf("auth oauth2: scopes: takes one scope or more")
	}
	return nil
}

func unmarshalResource(opts *Options, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("auth oauth2: resource: takes one URI or more")
	}
	if slices.Contains(args, resourceOff) {
		if len(args) > 1 || len(opts.Resource) > 0 || opts.ResourceOff {
			return d.Errf("auth oauth2: resource: off stands alone")
		}
		opts.ResourceOff = true
		return nil
	}
	if opts.ResourceOff {
		return d.Errf("auth oauth2: resource: off stands alone")
	}
	opts.Resource = append(opts.Resource, args...)
	return nil
}

func unmarshalConnection(opts *Options, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" || len(args) == 2 && args[1] != "trusted" {
		return d.Errf("auth oauth2: connection: takes a placeholder, such as {http.auth.user.id}, and perhaps the word trusted")
	}
	opts.Connection, opts.ConnectionTrusted = args[0], len(args) == 2
	return nil
}

func unmarshalHeaderPrefix(opts *Options, d *caddyfile.Dispenser) error {
	opts.HeaderPrefix = new(string)
	if !d.AllArgs(opts.HeaderPrefix) {
		return d.Errf(`auth oauth2: header_prefix: takes one prefix; "" sends the token alone`)
	}
	return nil
}

func unmarshalRefreshBefore(opts *Options, d *caddyfile.Dispenser) error {
	opts.RefreshBefore = new(caddy.Duration)
	args := d.RemainingArgs()
	switch {
	case len(args) != 1:
		return d.Errf("auth oauth2: refresh_before: takes one duration, or never")
	case args[0] == "never":
		return nil
	}
	dur, err := value.ParseDuration("auth oauth2: refresh_before", args[0])
	if err != nil {
		return d.WrapErr(err)
	}
	*opts.RefreshBefore = caddy.Duration(dur)
	return nil
}

func unmarshalPlace(opts *Options, d *caddyfile.Dispenser) error {
	place, err := auth.UnmarshalPlace("auth oauth2", d, "header", "query")
	if err == nil {
		opts.AddTokenTo = &Place{Header: place.Header, Query: place.Query}
	}
	return err
}

func unmarshalSwitch(d *caddyfile.Dispenser, option string, field *bool) error {
	if d.NextArg() {
		return d.Errf("auth oauth2: %s: takes no value", option)
	}
	*field = true
	return nil
}

func unmarshalParam(d *caddyfile.Dispenser, option string, params *map[string]string) error {
	var key, val string
	if !d.AllArgs(&key, &val) {
		return d.Errf("auth oauth2: %s: takes a name and a value", option)
	}
	if _, ok := (*params)[key]; ok {
		return d.Errf("auth oauth2: %s is given twice", value.Label(option+":", key, isParam(key)))
	}
	if *params == nil {
		*params = make(map[string]string)
	}
	(*params)[key] = val
	return nil
}

func unmarshalDuration(d *caddyfile.Dispenser, option string, field *caddy.Duration) error {
	var text string
	if !d.AllArgs(&text) {
		return d.Errf("auth oauth2: %s: takes one duration", option)
	}
	dur, err := value.ParseDuration("auth oauth2: "+option, text)
	if err != nil {
		return d.WrapErr(err)
	}
	*field = caddy.Duration(dur)
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Method)(nil)
