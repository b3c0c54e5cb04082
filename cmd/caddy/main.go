// SPDX-License-Identifier: Apache-2.0

// Command caddy is a standard Caddy with the authenticated_api module, for development and the
// examples.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
