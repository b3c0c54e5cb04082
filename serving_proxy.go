// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// The proxy of Caddy's that a handler leaves requests to is made while the configuration loads, as
// Caddy makes its own. It has a goroutine and a place in a pool. So the entries of a catalogue,
// which may be thousands, share one: it asks the entry of each request where to send it.

// newCaddysProxy returns a proxy of Caddy's that sends by a transport to what a policy selects, or
// to the only upstream.
func newCaddysProxy(
	ctx caddy.Context, transport http.RoundTripper, policy reverseproxy.Selector, upstreams ...*reverseproxy.Upstream,
) (*reverseproxy.Handler, error) {
	proxy := &reverseproxy.Handler{
		Transport: transport, Upstreams: upstreams, LoadBalancing: &reverseproxy.LoadBalancing{SelectionPolicy: policy},
	}
	if err := proxy.Provision(ctx); err != nil {
		return nil, fmt.Errorf("making a proxy: %w", err)
	}
	return proxy, nil
}

// useCaddysProxy gives the handler its proxy of Caddy's: that of the catalogue that it is in, or
// one of its own. A proxy that tells the API of the client's address in front of each connection
// (the PROXY protocol) knows so from its transport, so it cannot be shared.
func (s *serving) useCaddysProxy(ctx caddy.Context, in *Catalogue) (err error) {
	s.upstream.Dial, s.upstream.Host = s.address, &s.upstreamHost
	if in != nil && s.transport.ProxyProtocol == "" {
		s.caddys, s.shared = in.proxy, true
		return nil
	}
	s.caddys, err = newCaddysProxy(ctx, s.transport, nil, &s.upstream)
	return err
}

// serveByCaddy has Caddy's proxy serve a request.
func (s *serving) serveByCaddy(w http.ResponseWriter, r *http.Request) error {
	slotOf(r).x.serving = s
	nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return s.caddys.ServeHTTP(w, r, nothing)
}

// endCaddysProxy ends the connections that have switched protocols. Those of a catalogue end with
// it.
func (s *serving) endCaddysProxy() error {
	if s.caddys == nil || s.shared {
		return nil
	}
	return s.caddys.Cleanup()
}

// dispatcher is what the proxy of a catalogue asks: the policy that selects the upstream, and the
// transport. Both are those of the entry that has left the request to the proxy.
type dispatcher struct{}

// Select implements reverseproxy.Selector.
func (dispatcher) Select(_ reverseproxy.UpstreamPool, r *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	return &slotOf(r).x.serving.upstream
}

// RoundTrip implements http.RoundTripper.
func (dispatcher) RoundTrip(req *http.Request) (*http.Response, error) {
	return slotOf(req).x.serving.transport.RoundTrip(req)
}

// Interface guards
var (
	_ reverseproxy.Selector = dispatcher{}
	_ http.RoundTripper     = dispatcher{}
)
