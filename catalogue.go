// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() { caddy.RegisterModule(new(Catalogue)) }

// Catalogue gives the requests that pass it access to one of many HTTP APIs, each of them what the
// handler `authenticated_api` is for one. A request names its API by the first segment of its
// path, which is cut off: `/crm/customers` asks the API `crm` for `/customers`. The last of many
// thousand is found as fast as the first. APIs whose transports have the same settings share one,
// and its connections.
type Catalogue struct {
	// The APIs by their names, which are also the names of the datasources: lower-case letters,
	// digits and `-`, 63 at most.
	APIs map[string]*API `json:"apis"`

	// A text with placeholders of the request that is the name of the API, such as
	// `{http.request.host.labels.2}`. With it nothing is cut off the path. Default: the first
	// segment of the path.
	Name string `json:"name,omitempty"`

	// The address of Caddy's admin endpoint, as in the handler `authenticated_api`.
	AdminAddress string `json:"admin_address,omitempty"`

	senders *senders
	proxy   *reverseproxy.Handler // for what its APIs leave to Caddy's proxy
	logger  *zap.Logger
}

// API is one API of a catalogue: a handler `authenticated_api` without a name of its own.
type API struct {
	Handler

	// The proxy that sends the requests, in the place of a transport of the API's own: a
	// `reverse_proxy` with the transport `authenticated_api`.
	ProxyRaw json.RawMessage `json:"proxy,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	proxy *reverseproxy.Handler // nil: the handler sends the requests itself
	next  caddyhttp.Handler     // the proxy, for the handler
}

// CaddyModule returns the Caddy module information.
func (*Catalogue) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.authenticated_apis",
		New: func() caddy.Module { return new(Catalogue) },
	}
}

// Provision implements caddy.Provisioner.
func (c *Catalogue) Provision(ctx caddy.Context) error {
	c.logger = ctx.Logger()
	c.senders = &senders{by: make(map[string]*sender)}
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	if c.AdminAddress != "" {
		app.admin = c.AdminAddress
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.proxy, err = newCaddysProxy(ctx, dispatcher{}, dispatcher{}); err != nil {
		return err
	}
	defer app.literals.gather(c.logger)()
	here := &ground{handler: c, app: app, many: true}
	for _, name := range slices.Sorted(maps.Keys(c.APIs)) {
		api := c.APIs[name]
		api.Name, api.ground, api.in, api.logger = name, here, c, c.logger
		if err := api.provisionAll(ctx); err != nil {
			return fmt.Errorf("apis: %s: %w", name, err)
		}
	}
	return nil
}

// check reports what is wrong with the configuration besides the APIs themselves.
func (c *Catalogue) check() error {
	if len(c.APIs) == 0 {
		return errNoAPIs
	}
	if err := checkChoice(c.Name); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.APIs)) {
		if err := checkEntryName(name); err != nil {
			return err
		}
		if api := c.APIs[name]; api == nil || api.BaseURL == "" {
			return fmt.Errorf("apis: %s: base_url: a base URL is missing; without one no API is known", name)
		} else if api.Name != "" {
			return fmt.Errorf("apis: %s: name: its name is its key in apis; remove it", name)
		}
	}
	return nil
}

var errNoAPIs = errors.New("apis: there is none; give one or more, each with a name and a base URL")

// checkEntryName reports that an API of a catalogue cannot have a name.
func checkEntryName(name string) error {
	if isName(name) {
		return nil
	}
	return fmt.Errorf("the name of an API: %s does not fit; lower-case letters, digits and - do, 63 at most, a letter or digit first, "+
		"since it is a segment of the path", value.Shape(name))
}

// checkChoice reports that a text cannot say which API a request is for.
func checkChoice(text string) error {
	open := strings.IndexByte(text, '{')
	if text == "" || open >= 0 && strings.IndexByte(text[open:], '}') > 1 {
		return nil
	}
	return fmt.Errorf("name: %s has no placeholder, so that all requests would be for one API; write one such as "+
		"{http.request.host.labels.2}, or remove it", value.Shape(text))
}

// provisionAll provisions the handler and the proxy behind it.
func (api *API) provisionAll(ctx caddy.Context) error {
	if api.Transport == nil && api.ProxyRaw == nil {
		api.Transport = new(Transport)
	}
	if api.Transport != nil && api.ProxyRaw != nil {
		return errors.New("proxy: the transport belongs to the proxy; move it there, or remove the proxy")
	}
	if err := api.Provision(ctx); err != nil || api.ProxyRaw == nil {
		return err
	}
	if err := checkRawModule("proxy", "http.handlers", "handler", api.ProxyRaw); err != nil {
		return err
	}
	module, err := ctx.LoadModule(api, "ProxyRaw")
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	proxy, ok := module.(*reverseproxy.Handler)
	if ok {
		_, ok = proxy.Transport.(*Transport)
	}
	if !ok {
		return errors.New(`proxy: it is no reverse_proxy with "transport": {"protocol": "authenticated_api"}, and the credential ` +
			"comes to no other; give it one")
	}
	nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	api.proxy = proxy
	api.next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return proxy.ServeHTTP(w, r, nothing) })
	return nil
}

// Cleanup implements caddy.CleanerUpper. It may be called when not all APIs are provisioned.
func (c *Catalogue) Cleanup() error {
	var failed error
	if c.proxy != nil {
		failed = c.proxy.Cleanup() // ends the connections that have switched protocols
	}
	for _, api := range c.APIs {
		if api != nil {
			failed = errors.Join(failed, api.Cleanup())
		}
	}
	if c.senders != nil {
		failed = errors.Join(failed, c.senders.end())
	}
	return failed
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. What follows in the route is not called.
func (c *Catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	api := c.choose(r)
	if api == nil {
		if e := c.logger.Check(zapcore.DebugLevel, "refused a request"); e != nil {
			e.Write(zap.String("code", problem.UnknownAPI.Code()))
		}
		rejectionsTotal.WithLabelValues("", problem.UnknownAPI.Code()).Inc()
		setProblem(r, "", problem.UnknownAPI)
		return problem.UnknownAPI.Write(w, r, "")
	}
	return api.ServeHTTP(w, r, api.next)
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of the server's trace
// log.
func (c *Catalogue) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("apis", len(c.APIs))
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Catalogue)(nil)
	_ caddy.CleanerUpper          = (*Catalogue)(nil)
	_ caddyhttp.MiddlewareHandler = (*Catalogue)(nil)
	_ zapcore.ObjectMarshaler     = (*Catalogue)(nil)
)
