// SPDX-License-Identifier: Apache-2.0

package login

import (
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// optionNames are the options in the order in which errors name them.
var optionNames = strings.Fields("method json form basic header jwt token expires_in also add_token_to header_prefix self_signed_cert insecure_http timeout")

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth login <url> {
//	    method           <method>
//	    json             { <name> <value> | <name> json:<json> | <name> { ... } }
//	    form             { <name> <value> }
//	    basic            <username> <password>
//	    header           <field> <value>
//	    jwt              [<secret>] { ... }
//	    token            json:<path> | header:<field> | cookie:<name> | body
//	    expires_in       <path> | header:<field> | <duration>
//	    also             <field>|cookie:<name> json:<path> | header:<field> | cookie:<name>
//	    add_token_to     header [<field>] | query [<key>] | cookie <name>
//	    header_prefix    <prefix>
//	    self_signed_cert <pem>
//	    insecure_http
//	    timeout          <duration>
//	}
func (opts *Options) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if !d.AllArgs(&opts.URL) || opts.URL == "" {
		return d.Errf("%s: takes the URL of the login: auth login <url> { … }", label)
	}
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if given[name] && name != "header" && name != "also" {
			return d.Errf("%s: %s: given twice", label, name)
		}
		given[name] = true
		if taken, err := opts.TokenPlace.UnmarshalOption(label, d); taken {
			if err != nil {
				return err
			}
			continue
		}
		if err := opts.unmarshalOption(name, d); err != nil {
			return err
		}
	}
	if err := opts.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (opts *Options) unmarshalOption(name string, d *caddyfile.Dispenser) error {
	switch name {
	case "method":
		return unmarshalText(d, &opts.RequestMethod)
	case "token":
		return unmarshalText(d, &opts.Token)
	case "expires_in":
		return unmarshalText(d, &opts.ExpiresIn)
	case "self_signed_cert":
		return unmarshalText(d, &opts.SelfSignedCert)
	case "json":
		opts.JSON = make(map[string]any)
		return unmarshalJSON(d, opts.JSON)
	case "form":
		opts.Form = make(map[string]string)
		return unmarshalForm(d, opts.Form)
	case "basic":
		opts.Basic = new(Pair)
		if !d.AllArgs(&opts.Basic.Username, &opts.Basic.Password) || *opts.Basic == (Pair{}) {
			return d.Errf("%s: basic: takes a user name and a password", label)
		}
		return nil
	case "header":
		return unmarshalPair(d, &opts.Headers)
	case "also":
		return unmarshalPair(d, &opts.Also)
	case "jwt":
		return opts.unmarshalJWT(d)
	case "insecure_http":
		if d.NextArg() {
			return d.Errf("%s: insecure_http: takes no value", label)
		}
		opts.InsecureHTTP = true
		return nil
	case "timeout":
		var text string
		if err := unmarshalText(d, &text); err != nil {
			return err
		}
		dur, err := value.ParseDuration(label+": timeout", text)
		if err != nil {
			return d.WrapErr(err)
		}
		opts.Timeout = caddy.Duration(dur)
		return nil
	default:
		return d.Errf("%s: %s", label, option.Unrecognized(name, optionNames...))
	}
}

func unmarshalText(d *caddyfile.Dispenser, field *string) error {
	name := d.Val()
	if !d.AllArgs(field) || *field == "" {
		return d.Errf("%s: %s: takes one value (one with blanks needs quotes)", label, name)
	}
	return nil
}

// unmarshalPair reads a name and a value of an option that may be given more than once.
func unmarshalPair(d *caddyfile.Dispenser, to *map[string]string) error {
	option := d.Val()
	var name, val string
	if !d.AllArgs(&name, &val) || val == "" {
		return d.Errf("%s: %s: takes a name and a value (one with blanks needs quotes)", label, option)
	}
	if _, twice := (*to)[name]; twice {
		return d.Errf("%s: %s: given twice", label, value.Label(option, name, isCommon(name)))
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[name] = val
	return nil
}

func unmarshalForm(d *caddyfile.Dispenser, form map[string]string) error {
	if d.NextArg() {
		return d.Errf("%s: form: takes its fields in a block: form { <name> <value> }", label)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		var val string
		if !d.AllArgs(&val) {
			return d.Errf("%s: form: takes a name and a value on each line (one with blanks needs quotes)", label)
		}
		if _, twice := form[name]; twice {
			return d.Errf("%s: %s: given twice", label, value.Label("form", name, isCommon(name)))
		}
		form[name] = val
	}
	return nil
}

func (opts *Options) unmarshalJWT(d *caddyfile.Dispenser) error {
	const option = label + ": jwt"
	opts.JWT = new(signature.TokenOptions)
	if d.NextArg() {
		if opts.JWT.Secret = d.Val(); d.NextArg() {
			return d.Errf("%s: takes one secret (one with blanks needs quotes), or none and a key_file", option)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := opts.JWT.UnmarshalOption(option, d); err != nil {
			return err
		}
	}
	return nil
}
