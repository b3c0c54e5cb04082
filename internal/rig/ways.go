// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"regexp"
	"strings"
)

// A datasource with a base URL has two ways to its API: the handler sends requests itself, or a
// reverse_proxy of Caddy's does. Tests take the first. With CADDYS_PROXY=1 in the environment
// those that call Load or Start take the second.

// withBase matches the line that begins a directive with a base URL.
var withBase = regexp.MustCompile(`(?m)^([ \t]*authenticated_api[ \t]+(?:[@/*]\S*[ \t]+)?https?://[^\s{]+)[ \t]*(\{?)[ \t]*$`)

// ThroughCaddysProxy returns a Caddyfile whose requests Caddy's proxy sends.
func ThroughCaddysProxy(caddyfile string) string {
	return withBase.ReplaceAllStringFunc(caddyfile, func(line string) string {
		if begin, ok := strings.CutSuffix(strings.TrimSpace(line), "{"); ok {
			return begin + "{\nproxy reverse_proxy"
		}
		return line + " {\nproxy reverse_proxy\n}"
	})
}

// chosenWay returns a Caddyfile whose requests go the way that the environment chooses.
func chosenWay(caddyfile string) string {
	if os.Getenv("CADDYS_PROXY") != "1" {
		return caddyfile
	}
	return ThroughCaddysProxy(caddyfile)
}
