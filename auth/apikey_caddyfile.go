// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth api_key [<key>] <value> {
//	    in     header|query|cookie [<name>]|path [<prefix>]
//	    prefix <prefix>
//	    connection <placeholder> [trusted]
//	    verify     <path>
//	    console    <url>
//	}
//
// The name of a cookie and the prefix of a path may stand behind in. Then the key may be left out.
func (k *APIKey) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	args := d.RemainingArgs()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := k.unmarshalOption(d); err != nil {
			return err
		}
	}
	switch {
	case k.Connection != "" && len(args) <= 1 && (len(args) == 1 || k.In == inPath || k.Key != ""):
		if len(args) == 1 {
			k.Key = cmp.Or(k.Key, args[0])
		}
		return wrapErr(d, k.Validate())
	case len(args) == 2:
		k.Key, k.Value = cmp.Or(k.Key, args[0]), args[1]
	case len(args) == 1 && (k.In == inPath || k.In == inCookie && k.Key != ""):
		k.Value = args[0]
	case k.form() == "<value>":
		return d.Errf("auth api_key: takes the key alone, since in %[1]s says where it goes: auth api_key <value> { in %[1]s … } (a {$NAME} that "+
			"is not set leaves nothing)", k.In)
	default:
		return d.Errf("auth api_key: takes the name and the value of a key: auth api_key <key> <value> (a {$NAME} that is not set leaves nothing)")
	}
	if err := notEmpty(d, "api_key", args...); err != nil {
		return err
	}
	if err := cmp.Or(k.Validate(), k.checkValue("auth api_key: value", k.Value), value.Check("auth api_key: value", k.Value)); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (k *APIKey) unmarshalOption(d *caddyfile.Dispenser) error {
	name := d.Val()
	switch name {
	case "in":
		if k.In != "" {
			return d.Errf("auth api_key: in: given twice")
		}
		args := d.RemainingArgs()
		named := len(args) == 2 && (args[0] == inCookie || args[0] == inPath)
		if len(args) != 1 && !named || d.NextBlock(d.Nesting()) {
			return d.Errf("auth api_key: in: takes one of header, query, cookie [<name>] and path [<prefix>]")
		}
		k.In = args[0]
		if named {
			if k.Key = args[1]; k.Key == "" {
				return d.Errf("auth api_key: in %s: the name is empty; write it, or leave it out", k.In)
			}
		}
		return nil
	case "prefix":
		if k.Prefix != "" {
			return d.Errf("auth api_key: prefix: given twice")
		}
		if !d.AllArgs(&k.Prefix) {
			return d.Errf("auth api_key: prefix: takes one value")
		}
		return nil
	default:
		if taken, err := k.OwnKeys.unmarshalOption("auth api_key", d); taken {
			return err
		}
		if slices.Contains([]string{"key", "value", "name", "token"}, name) {
			return d.Errf("auth api_key: %s: it stands in front of the block: auth api_key %s { … }", name, k.form())
		}
		return d.Errf("auth api_key: %s", option.Unrecognized(name, "in", "prefix", "connection", "verify", "console"))
	}
}

// form returns what stands in front of the block.
func (k *APIKey) form() string {
	if k.In == inPath || k.In == inCookie && k.Key != "" {
		return "<value>"
	}
	return "<key> <value>"
}
