// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

// ProxyFunc returns the forward proxy of a request, or nil.
type ProxyFunc = func(*http.Request) (*url.URL, error)

// ForwardProxy is the forward proxy of requests that belong to no caller's request. The zero value
// goes by the environment.
type ForwardProxy struct {
	to atomic.Pointer[ProxyFunc]
}

// Use has requests go through a proxy; nil stands for none.
func (p *ForwardProxy) Use(proxy ProxyFunc) { p.to.Store(&proxy) }

// Of is the Proxy of an http.Transport. Only global placeholders are resolved in the proxy's URL,
// and nothing of the request remains in the context of the caller's request that has caused it.
func (p *ForwardProxy) Of(req *http.Request) (*url.URL, error) {
	proxy := p.to.Load()
	switch {
	case proxy == nil:
		return http.ProxyFromEnvironment(req)
	case *proxy == nil:
		return nil, nil //nolint:nilnil // that is how net/http says none
	}
	return (*proxy)(req.WithContext(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()))) //nolint:contextcheck // on purpose
}
