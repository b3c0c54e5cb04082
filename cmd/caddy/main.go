// SPDX-License-Identifier: Apache-2.0

// Command caddy is a standard Caddy with the module authenticated_api, for development and for
// the examples.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
