// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ConsoleAt returns the public address of the first console among the routes of a server, with a
// slash at its end, "" if there is none, or if no route says which host it has.
func ConsoleAt(server *caddyhttp.Server) string {
	host, path, ok := consoleIn(server, server.Routes, "", "/", 0)
	if !ok || host == "" {
		return ""
	}
	scheme, own := "http", "80"
	if len(server.TLSConnPolicies) > 0 {
		scheme, own = "https", "443"
	}
	for _, listen := range server.Listen {
		if addr, err := caddy.ParseNetworkAddress(listen); err == nil && addr.StartPort != 0 {
			if port := addr.JoinHostPort(0); !strings.HasSuffix(port, ":"+own) {
				_, p, _ := net.SplitHostPort(port)
				host = net.JoinHostPort(strings.Trim(host, "[]"), p)
			}
			break
		}
	}
	return scheme + "://" + host + path
}

// maxDepth bounds how deep routes are looked into.
const maxDepth = 16

func consoleIn(server *caddyhttp.Server, list caddyhttp.RouteList, host, path string, depth int) (string, string, bool) {
	if depth > maxDepth {
		return "", "", false
	}
	for i := range list {
		h, p := host, path
		for _, set := range list[i].MatcherSets {
			for _, m := range set {
				switch m := m.(type) {
				case *caddyhttp.MatchHost:
					if name := plainHost(*m); name != "" {
						h = name
					}
				case *caddyhttp.MatchPath:
					if prefix := plainPrefix(*m); prefix != "" {
						p = prefix
					}
				}
			}
		}
		for _, handler := range list[i].Handlers {
			if isConsole(handler) {
				return h, p, true
			}
			if h, p, ok := consoleIn(server, Inner(server, handler), h, p, depth+1); ok {
				return h, p, true
			}
		}
	}
	return "", "", false
}

// plainHost returns the first name that stands for one host, or "".
func plainHost(names caddyhttp.MatchHost) string {
	for _, name := range names {
		if !strings.ContainsAny(name, "*{") {
			return name
		}
	}
	return ""
}

// plainPrefix returns the prefix of the first pattern that is one, with a slash at its end, or "".
func plainPrefix(patterns caddyhttp.MatchPath) string {
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasSuffix(prefix, "/") && !strings.ContainsAny(prefix, "*{") {
			return prefix
		}
	}
	return ""
}
