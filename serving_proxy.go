// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// caddysProxy is the proxy of Caddy's that a handler leaves requests to. It has a goroutine and a
// place in a pool, and most APIs need none. So an entry of a catalogue, which may have thousands,
// gets its proxy when the first of such requests comes; everywhere else it is made while the
// configuration loads, as Caddy makes its own.
type caddysProxy struct {
	ctx       caddy.Context
	transport *Transport
	dial      string

	proxy atomic.Pointer[reverseproxy.Handler] // nil: none was needed yet, or it has ended
	ended bool                                 // with makingProxy held
}

// makingProxy is held while a proxy is made: what Caddy's proxies have in common, their metrics,
// is written without a lock, since Caddy makes them one after the other.
var makingProxy sync.Mutex

var errEnded = errors.New("the configuration has ended")

// get returns the proxy.
func (p *caddysProxy) get() (*reverseproxy.Handler, error) {
	if proxy := p.proxy.Load(); proxy != nil {
		return proxy, nil
	}
	makingProxy.Lock()
	defer makingProxy.Unlock()
	if proxy := p.proxy.Load(); proxy != nil {
		return proxy, nil
	}
	if p.ended {
		return nil, errEnded
	}
	proxy := &reverseproxy.Handler{Transport: p.transport, Upstreams: reverseproxy.UpstreamPool{{Dial: p.dial}}}
	if err := proxy.Provision(p.ctx); err != nil {
		return nil, fmt.Errorf("making a proxy: %w", err)
	}
	p.proxy.Store(proxy)
	return proxy, nil
}

// ServeHTTP implements caddyhttp.Handler.
func (p *caddysProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	proxy, err := p.get()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return proxy.ServeHTTP(w, r, nothing)
}

// end ends the connections that have switched protocols. Requests that come later are refused.
func (p *caddysProxy) end() error {
	makingProxy.Lock()
	p.ended = true
	makingProxy.Unlock()
	if proxy := p.proxy.Swap(nil); proxy != nil {
		return proxy.Cleanup()
	}
	return nil
}

// Interface guards
var _ caddyhttp.Handler = (*caddysProxy)(nil)
