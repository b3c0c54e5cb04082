// SPDX-License-Identifier: Apache-2.0

package console

import (
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const directiveName = "authenticated_api_console"

func init() {
	httpcaddyfile.RegisterHandlerDirective(directiveName, parseDirective)
	// So it runs after basic_auth and forward_auth, which come much earlier.
	httpcaddyfile.RegisterDirectiveOrder(directiveName, httpcaddyfile.Before, "reverse_proxy")
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	h.Next()
	segment := h.NextSegment()
	if err := handler.UnmarshalCaddyfile(caddyfile.NewDispenser(segment)); err != nil {
		return nil, option.WithEmpty(segment, err)
	}
	return handler, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	authenticated_api_console [<matcher>] {
//	    user      <placeholder>
//	    operators <user...>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		return d.Errf("%s: takes no argument but a matcher; user and operators stand in its block", directiveName)
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "user":
			if h.User != "" {
				return d.Errf("user: given twice")
			}
			if !d.AllArgs(&h.User) || len(placeholders(h.User)) == 0 {
				return d.Errf("user: takes one placeholder, such as %s", defaultUser)
			}
		case "operators":
			users := d.RemainingArgs()
			if len(users) == 0 {
				return d.Errf("operators: takes one user or more")
			}
			if slices.Contains(users, "") {
				return d.Errf("operators: an empty user is nobody")
			}
			h.Operators = append(h.Operators, users...)
		default:
			return d.Errf("%s: %s", directiveName, option.Unrecognized(d.Val(), "user", "operators"))
		}
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
