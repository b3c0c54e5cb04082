// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the signer from Caddyfile tokens. Syntax:
//
//	signature [<secret>] {
//	    header    <field>
//	    algorithm <alg>
//	    key_file  <pem>
//	    key_id    <kid>
//	    issuer    <iss>
//	    audience  <aud>
//	    lifetime  <duration>
//	    claim     <name> <value>
//	}
func (j *JWT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the subdirective's name
	if d.NextArg() {
		j.Secret = d.Val()
		if d.NextArg() {
			return d.Errf("signature: takes one secret (one with blanks needs quotes)")
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := j.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := j.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (j *JWT) unmarshalOption(d *caddyfile.Dispenser) error {
	var field *string
	var lifetime string
	switch d.Val() {
	case "header":
		field = &j.HeaderName
	case "algorithm":
		field = &j.Algorithm
	case "key_file":
		field = &j.KeyFile
	case "key_id":
		field = &j.KeyID
	case "issuer":
		field = &j.Issuer
	case "audience":
		field = &j.Audience
	case "lifetime":
		field = &lifetime
	case "claim":
		return j.unmarshalClaim(d)
	case "secret":
		return d.Errf("signature: secret: it stands in front of the block: signature <secret> { … }")
	default:
		return d.Errf("signature: %s", option.Unrecognized(d.Val(), "header", "algorithm", "key_file", "key_id", "issuer", "audience", "lifetime", "claim"))
	}
	option := d.Val()
	if *field != "" || option == "lifetime" && j.Lifetime != 0 {
		return d.Errf("signature: %s: given twice", option)
	}
	if !d.AllArgs(field) || *field == "" {
		return d.Errf("signature: %s: takes one value", option)
	}
	if option == "lifetime" {
		dur, err := value.ParseDuration("signature: lifetime", lifetime)
		if err != nil {
			return d.WrapErr(err)
		}
		j.Lifetime = caddy.Duration(dur)
	}
	return nil
}

func (j *JWT) unmarshalClaim(d *caddyfile.Dispenser) error {
	var name, val string
	if !d.AllArgs(&name, &val) {
		return d.Errf("signature: claim: takes a name and a value (one with blanks needs quotes)")
	}
	if _, ok := j.Claims[name]; ok {
		return d.Errf("signature: %s is given twice", claimLabel(name))
	}
	if j.Claims == nil {
		j.Claims = make(map[string]string)
	}
	j.Claims[name] = val
	return nil
}
