// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// parseMCP reads `mcp`.
func (opts *directive) parseMCP(d *caddyfile.Dispenser) error {
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("mcp: takes no value; it stands alone in the block of an MCP server")
	}
	opts.handler.MCP = true
	return nil
}
