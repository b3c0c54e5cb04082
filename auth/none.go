// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(None)) }

// None puts no credential on requests. It is the default.
type None struct {
	static
}

// CaddyModule returns the Caddy module information.
func (*None) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.none",
		New: func() caddy.Module { return new(None) },
	}
}

// Provision implements caddy.Provisioner.
func (n *None) Provision(caddy.Context) error {
	return n.load(func() (*Credential, error) { return NewCredential(Placement{}, ""), nil })
}

// Placement implements Method.
func (*None) Placement() Placement { return Placement{} }

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth none
func (n *None) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return noMore(d, "none", 0) }

// Interface guards
var (
	_ Method                = (*None)(nil)
	_ caddy.Provisioner     = (*None)(nil)
	_ caddyfile.Unmarshaler = (*None)(nil)
)
