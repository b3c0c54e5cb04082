// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// networkProxy is the forward proxy of all requests to a provider. It is the proxy of the API's
// own requests unless an option says otherwise: a gateway that cannot reach the API without a
// proxy cannot reach the provider either.
type networkProxy struct {
	own bool // the option network_proxy names the proxy
	to  peer.ForwardProxy
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
	opts.proxy.own = true
	opts.proxy.to.Use(producer.ProxyFunc())
	return nil
}

// UseProxy has requests to the provider go through the proxy of the API's transport, unless the
// option network_proxy says otherwise. nil stands for no proxy.
func (opts *Options) UseProxy(proxy func(*http.Request) (*url.URL, error)) {
	if !opts.proxy.own {
		opts.proxy.to.Use(proxy)
	}
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
