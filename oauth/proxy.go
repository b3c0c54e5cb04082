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

// networkProxy is the way out for all that is asked of a provider. It is that of the API's own
// requests unless an option says otherwise: who cannot reach the API without a proxy cannot reach
// its provider either.
type networkProxy struct {
	own bool // the option network_proxy says it
	to  atomic.Pointer[proxyFunc]
}

// loadProxy loads the module of the option network_proxy.
func (m *Method) loadProxy(ctx caddy.Context) error {
	if m.NetworkProxyRaw == nil {
		return nil
	}
	guest, err := ctx.LoadModule(m, "NetworkProxyRaw")
	if err != nil {
		return fmt.Errorf("auth oauth2: network_proxy: loading the module: %w", err)
	}
	producer, ok := guest.(caddy.ProxyFuncProducer)
	if !ok {
		return fmt.Errorf("auth oauth2: network_proxy: %T says no proxy", guest)
	}
	proxy := producer.ProxyFunc()
	m.proxy.own = true
	m.proxy.to.Store(&proxy)
	return nil
}

// UseProxy has token requests go through the proxy of the API's transport, unless the option
// network_proxy says otherwise. A proxy of nil is none.
func (m *Method) UseProxy(proxy func(*http.Request) (*url.URL, error)) {
	if !m.proxy.own {
		m.proxy.to.Store(&proxy)
	}
}

// of is the Proxy of an http.Transport. A token request belongs to no request of a caller, so
// placeholders of the proxy's URL are global ones, and nothing is left with the request that the
// token request was made for.
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

// unmarshalProxy reads the option network_proxy, as the transport http has it.
func (m *Method) unmarshalProxy(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>")
	}
	from, more := d.Val(), d.CountRemainingArgs()
	if from == "none" && more != 0 || from == "url" && more != 1 {
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>")
	}
	id := "caddy.network_proxy." + from
	if _, err := caddy.GetModule(id); err != nil {
		// What stands there is not shown: it may be a URL with a password.
		return d.Errf("auth oauth2: network_proxy: takes none, or url <url>; a URL stands behind the word url")
	}
	guest, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	m.NetworkProxyRaw = caddyconfig.JSONModuleObject(guest, "from", from, nil)
	return nil
}
