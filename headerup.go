// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// headerUp are the header fields of an outgoing request that the operator has set with the
// proxy's header_up. For each it has the number of values, at the end, that are the operator's;
// -1 means all.
type headerUp map[string]int

// proxyOf returns the proxy whose Provision is loading the transport at this moment, or nil.
func proxyOf(ctx caddy.Context) *reverseproxy.Handler {
	for _, m := range slices.Backward(ctx.Modules()) {
		if proxy, ok := m.(*reverseproxy.Handler); ok {
			return proxy
		}
	}
	return nil
}

// headerUpOf returns the header fields that the operator sets with the header_up of a proxy.
func headerUpOf(proxy *reverseproxy.Handler) headerUp {
	names := make(headerUp)
	if proxy == nil || proxy.Headers == nil || proxy.Headers.Request == nil {
		return names
	}
	ops := proxy.Headers.Request
	for name, values := range ops.Add {
		names[http.CanonicalHeaderKey(name)] = len(values)
	}
	for name := range ops.Set {
		names[http.CanonicalHeaderKey(name)] = -1
	}
	for name := range ops.Replace {
		names[http.CanonicalHeaderKey(name)] = -1
	}
	return names
}
