// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// subdirectives are the subdirectives that are ours. The dispenser stands on the name.
var subdirectives = map[string]func(*directive, *caddyfile.Dispenser) error{
	"name": func(opts *directive, d *caddyfile.Dispenser) error {
		if !d.AllArgs(&opts.handler.Name) || opts.handler.Name == "" {
			return d.Errf("name: takes one name")
		}
		return nil
	},
	"header": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseEdit(d, &opts.handler.Headers)
	},
	"query": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseEdit(d, &opts.handler.Query)
	},
	"proxy": func(opts *directive, d *caddyfile.Dispenser) error {
		var word string
		if !d.AllArgs(&word) || word != "reverse_proxy" {
			return d.Errf("proxy: takes the word reverse_proxy, which has Caddy's own proxy send the requests")
		}
		opts.caddysProxy = true
		return nil
	},
	"auth":      (*directive).parseAuth,
	"mcp":       (*directive).parseMCP,
	"signature": (*directive).parseSignature,
	"pass_request_header": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseList(d, &opts.handler.PassRequestHeader)
	},
	"pass_response_header": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseList(d, &opts.handler.PassResponseHeader)
	},
	"allow_origin": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseList(d, &opts.handler.AllowOrigin)
	},
	"map_links": func(opts *directive, d *caddyfile.Dispenser) error {
		var word string
		if !d.AllArgs(&word) || word != "off" {
			return d.Errf("map_links: takes the word off; links are mapped by default")
		}
		opts.handler.MapLinks = new(bool)
		return nil
	},
	"sandbox": func(opts *directive, d *caddyfile.Dispenser) error {
		var word string
		if !d.AllArgs(&word) || word != "off" {
			return d.Errf("sandbox: takes the word off; documents are confined where a console has their origin")
		}
		opts.handler.Sandbox = new(bool)
		return nil
	},
	"max_header_fields": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseLimit(d, &opts.handler.MaxHeaderFields)
	},
	"max_query_params": func(opts *directive, d *caddyfile.Dispenser) error {
		return parseLimit(d, &opts.handler.MaxQueryParams)
	},
	"errors": func(opts *directive, d *caddyfile.Dispenser) error {
		if !d.AllArgs(&opts.handler.Errors) || opts.handler.Errors != "caddy" {
			return d.Errf("errors: takes the word caddy, which hands errors to Caddy's error routes")
		}
		return nil
	},
	"self_signed_cert": func(opts *directive, d *caddyfile.Dispenser) error { return opts.transport.parse(d) },
	"replay":           func(opts *directive, d *caddyfile.Dispenser) error { return opts.transport.parse(d) },
	"refresh_on":       func(opts *directive, d *caddyfile.Dispenser) error { return opts.transport.parse(d) },
}

// parseEdit reads `[+|-|?]<name> [<value>]`.
func parseEdit(d *caddyfile.Dispenser, edits **edit.Edits) error {
	word := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || d.NextBlock(0) {
		return d.Errf("%s: takes a name and a value: %s [+|-|?]<name> [<value>]", word, word)
	}
	if *edits == nil {
		*edits = new(edit.Edits)
	}
	e, name := *edits, args[0]
	var group *map[string][]string
	switch {
	case strings.HasPrefix(name, "-"):
		if len(args) != 1 {
			return d.Errf("%s: a name behind - is removed, so it takes no value", word)
		}
		e.Delete = append(e.Delete, name[1:])
		return nil
	case strings.HasPrefix(name, "+"):
		group, name = &e.Add, name[1:]
	case strings.HasPrefix(name, "?"):
		group, name = &e.Default, name[1:]
	default:
		group = &e.Set
	}
	if len(args) != 2 {
		return d.Errf("%s: takes one value behind the name (one with blanks needs quotes)", word)
	}
	if *group == nil {
		*group = make(map[string][]string)
	}
	if group == &e.Add {
		(*group)[name] = append((*group)[name], args[1])
	} else {
		(*group)[name] = []string{args[1]}
	}
	return nil
}

// parseList reads one value or more.
func parseList(d *caddyfile.Dispenser, list *[]string) error {
	word := d.Val()
	*list = append(*list, d.RemainingArgs()...)
	if len(*list) == 0 || d.NextBlock(0) {
		return d.Errf("%s: takes one value or more", word)
	}
	return nil
}

func (opts *directive) parseSignature(d *caddyfile.Dispenser) error {
	segment := d.NewFromNextSegment()
	segment.Next()
	if segment.NextArg() && slices.Contains(moduleNames(signerNamespace), segment.Val()) {
		name := segment.Val()
		guest, err := caddyfile.UnmarshalModule(segment, signerNamespace+"."+name)
		if err != nil {
			return err
		}
		opts.handler.SignatureRaw = caddyconfig.JSONModuleObject(guest, "signer", name, nil)
		return nil
	}
	if meant := value.Nearest(strings.ReplaceAll(segment.Val(), "-", "_"), moduleNames(signerNamespace)...); meant != "" {
		return d.Errf("signature: there is no such signer; did you mean %s?", meant)
	}
	segment.Reset()
	signer := new(signature.JWT)
	if err := signer.UnmarshalCaddyfile(segment); err != nil {
		return err
	}
	opts.handler.SignatureRaw = caddyconfig.JSONModuleObject(signer, "signer", "jwt", nil)
	return nil
}
