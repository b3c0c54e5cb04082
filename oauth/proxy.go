// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// proxyFunc returns the forward proxy of a request, or nil.
type proxyFunc = func(*http.Request) (*url.URL, error)

// networkProxy is the forward proxy of all requests to a provider. It is the proxy of the API's
// own requests unless an option says otherwise: a gateway that cannot reach the API without a
// proxy cannot reach the provider either.
type networkProxy struct {
	own bool // the option network_proxy names the proxy
	to  atomic.Pointer[proxyFunc]
}

// loadProxy loads the module of the option network_proxy.
func (opts *Options) loadProxy(ctx caddy.Context) error {
	if opts.NetworkProxyRaw == nil {
		return nil
	}
	guest, err := ctx.LoadModule(opts, "NetworkProxyRaw")
	if err != nil {
		return fmt.Errorf("auth oauth2: network_proxy: loading the module: %w", err)
	}
	producer, ok := guest.(caddy.ProxyFuncProducer)
	if !ok {
		return fmt.Errorf("auth oauth2: network_proxy: %T says no proxy", guest)
	}
	proxy := producer.ProxyFunc()
	opts.proxy.own = true
	opts.proxy.to.Store(&proxy)
	return nil
}

// UseProxy has requests to the provider go through the proxy of the API's transport, unless the
// option network_proxy says otherwise. nil stands for no proxy.
func (opts *Options) UseProxy(proxy func(*http.Request) (*url.URL, error)) {
	if !opts.proxy.own {
		opts.proxy.to.Store(&proxy)
	}
}

// of is the Proxy of an http.Transport. A token request belongs to no request of a caller, so only
// global placeholders are resolved in the proxy's URL, and nothing of the token request remains in
// the context of the request that has caused it.
func (p *networkProxy) of(req *http.Request) (*url.URL, error) {
	proxy := p.to.Load()
	switch {
	case proxy == nil:
		return http.ProxyFromEnvironment(req)
	case *proxy == nil:
		return nil, nil //nolint:nilnil // that is how net/http says none
	}
	return (*proxy)(req.WithContext(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()))) //nolint:contextcheck // on purpose
}

// unmarshalProxy reads the option network_proxy, in the syntax of the transport http.
func (opts *Options) unmarshalProxy(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>")
	}
	from, more := d.Val(), d.CountRemainingArgs()
	if from == "none" && more != 0 || from == "url" && more != 1 {
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>")
	}
	id := "caddy.network_proxy." + from
	if _, err := caddy.GetModule(id); err != nil {
		// The argument is not shown: it may be a URL with a password.
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>; a URL stands behind the word url")
	}
	guest, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	opts.NetworkProxyRaw = caddyconfig.JSONModuleObject(guest, "from", from, nil)
	return nil
}
