// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() { caddy.RegisterModule(new(Transport)) }

const (
	// defaultReplay is how much of a request's body is kept, in bytes.
	defaultReplay = 64 << 10

	// defaultIdleConns replaces Caddy's 32 for each host. With more concurrent callers than idle
	// connections every further request would dial, at 1.3 to 1.45 times the CPU time for 256
	// callers.
	defaultIdleConns = 512
)

// Transport is the transport `http` of `reverse_proxy`, with all its options, that puts the
// credential of the `authenticated_api` handler in front of the proxy on a clone of each outgoing
// request, in the last step before the request is sent. When the API refuses a credential it gets
// a fresh one and sends the request once more.
//
// A request of a client that has not passed such a handler is never sent. Active health checks
// carry the credential that the datasource holds at the time, if any.
type Transport struct {
	*reverseproxy.HTTPTransport

	// The name of the datasource whose requests go through this transport. Others are refused.
	// Default: any.
	Datasource string `json:"datasource,omitempty"`

	// Certificates to trust for this API, in the place of the system's: the path of a PEM file, or
	// the text of one. Global placeholders are resolved when the configuration loads, and again
	// when the file has changed. A PEM that also holds a private key is presented as client
	// certificate too. Default: the system's roots.
	SelfSignedCert string `json:"self_signed_cert,omitempty"`

	// How many bytes of a request's body are kept while it streams, so that the request can be
	// sent again when its credential is refused, or on another connection when the API says that
	// it has not taken it from this one (the end of an HTTP/2 connection). `0` turns this off.
	// Default: `65536`.
	Replay *int64 `json:"replay,omitempty"`

	// The statuses by which the API refuses a credential: those of errors, and redirects (`301`,
	// `302`, `303`, `307`, `308`) of an API that sends who is not signed in to a login page.
	// gRPC's `UNAUTHENTICATED` counts as 401, its `PERMISSION_DENIED` as 403. Default: `401`.
	RefreshOn []int `json:"refresh_on,omitempty"`

	// Redirects that refuse a credential because of where they lead: to a login page. By status,
	// with patterns of the path that `Location` has, or of the whole URL; `*` is any text. A
	// redirect that leads elsewhere passes. Default: none.
	RefreshOnRedirect map[int][]string `json:"refresh_on_redirect,omitempty"`

	// The address of Caddy's admin endpoint, which is never dialled, besides the one that the
	// configuration has. Global placeholders are resolved when the configuration loads. In a
	// Caddyfile it is taken from the global option `admin`.
	AdminAddress string `json:"admin_address,omitempty"`

	bound    *datasource // of active health checks; nil where none is named
	window   int
	headerUp headerUp
	rewrites bool    // the proxy rewrites URLs, after the handler has cleaned them
	sender   *sender // nil: the transport is not provisioned
	shared   bool    // the sender is other transports' too
	logger   *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.authenticated_api",
		New: func() caddy.Module { return &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)} },
	}
}

// check reports what is wrong with the configuration and can be known without reading a file.
func (t *Transport) check() error {
	if t.Replay != nil && (*t.Replay < 0 || *t.Replay > 1<<30) {
		return errors.New("replay: the size is not between 0 and 1GiB")
	}
	for _, status := range t.RefreshOn {
		if !isRefusal(status) {
			return errors.New("refresh_on: one of them is no status of an error; " + refusals)
		}
	}
	if len(t.RefreshOnRedirect) > 0 {
		for _, status := range slices.Sorted(maps.Keys(t.RefreshOnRedirect)) {
			for _, pattern := range t.RefreshOnRedirect[status] {
				if err := checkRedirect(status, pattern); err != nil {
					return err
				}
			}
		}
	}
	if t.SelfSignedCert != "" && t.TLS != nil &&
		(t.TLS.CARaw != nil || len(t.TLS.RootCAPool) > 0 || len(t.TLS.RootCAPEMFiles) > 0) { //nolint:staticcheck // deprecated, but possible
		return errors.New("self_signed_cert: tls_trust_pool says already what to trust; remove one")
	}
	if t.SelfSignedCert != "" && t.TLS != nil && t.TLS.InsecureSkipVerify {
		return errors.New("self_signed_cert: tls_insecure_skip_verify trusts every certificate, so naming one is of no use; remove one")
	}
	return nil
}

// refusals is what refresh_on takes.
const refusals = "write numbers from 400 to 599, or 301, 302, 303, 307, 308 for an API that redirects to a login page"

// isRefusal reports whether a status can say that a credential was refused. An API may answer with
// an error, or redirect to a login page. Other answers of 3xx are neither: 304 belongs to a cache,
// and 300 is a choice.
func isRefusal(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return status >= 400 && status <= 599
}

// Provision implements caddy.Provisioner.
func (t *Transport) Provision(ctx caddy.Context) error {
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	if err := t.bind(app); err != nil {
		return err
	}
	proxy := proxyOf(ctx)
	t.headerUp = headerUpOf(proxy)
	t.rewrites = proxy != nil && proxy.Rewrite != nil
	return provisionTransport(ctx, app, t, nil)
}

// provisionTransport does what does not depend on the proxy. The sender of the transport is one of
// those that a catalogue has, or its own.
func provisionTransport(ctx caddy.Context, app *App, t *Transport, all *senders) error {
	t.logger = loggerOf(app, t)
	if err := t.check(); err != nil {
		return err
	}
	t.window = defaultReplay
	if t.Replay != nil {
		t.window = int(*t.Replay)
	}
	if len(t.RefreshOn)+len(t.RefreshOnRedirect) == 0 {
		t.RefreshOn = []int{http.StatusUnauthorized}
	}
	if t.KeepAlive == nil {
		t.KeepAlive = new(reverseproxy.KeepAlive)
	}
	if t.KeepAlive.MaxIdleConnsPerHost == 0 {
		t.KeepAlive.MaxIdleConnsPerHost = defaultIdleConns
	}
	if t.Compression == nil {
		// What a client did not ask for is not asked of the API: Go's client would add
		// Accept-Encoding, and decode.
		t.Compression = new(bool)
	}
	if isLiteralKey(t.SelfSignedCert) {
		app.literals.warn(t.logger, t.Datasource, certOption)
	}
	s, err := all.of(ctx, app, t)
	if err != nil {
		return err
	}
	t.sender, t.HTTPTransport, t.shared = s, s.HTTPTransport, all != nil
	if t.bound != nil {
		t.bound.account.useProxy(s.Transport.Proxy)
		t.bound.account.send = func(req *http.Request, c *auth.Credential) (*http.Response, error) { return sendWith(t, req, c, true) }
		t.bound.account.trust(s.Transport.TLSClientConfig)
	}
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (t *Transport) Cleanup() error {
	if t.sender == nil || t.shared {
		return nil
	}
	return t.sender.end()
}

// bind finds the datasource that active health checks are made for.
func (t *Transport) bind(app *App) error {
	if t.Datasource == "" {
		return nil
	}
	if t.bound = app.registry.lookup(t.Datasource); t.bound == nil {
		return fmt.Errorf("datasource: there is no such datasource %s; its authenticated_api handler must come before "+
			"the proxy", value.Mention(t.Datasource, app.registry.names()...))
	}
	if t.bound.demandsTLS() && t.TLS == nil {
		return fmt.Errorf("datasource: the base URL of %q is https, and this transport has no tls, so the credential would go "+
			"out in clear; add \"tls\": {}", t.Datasource)
	}
	t.bound.served.Store(true)
	return nil
}

// refuseInClear answers a request that would carry the credential without TLS to an API whose base
// URL is https, or returns nil. It holds for requests and for health checks alike, and goes by
// what HTTPTransport.SetScheme will make of the request. A health check has its scheme already,
// from the port of the upstream, which need not be the port that is dialled.
func (t *Transport) refuseInClear(req *http.Request, ds *datasource) *http.Response {
	if !ds.demandsTLS() || encrypts(t.TLS, req) {
		return nil
	}
	t.logger.Error("the base URL is https, and this transport would send the credential in clear; see tls_except_ports",
		zap.String("datasource", ds.name), zap.String("port", req.URL.Port()))
	return ds.reject(req, problem.NoSession)
}

// encrypts reports whether a request goes out with TLS, by what HTTPTransport.SetScheme will make
// of it.
func encrypts(config *reverseproxy.TLSConfig, req *http.Request) bool {
	if req.URL.Scheme == "" {
		return config != nil && !slices.Contains(config.ExceptPorts, req.URL.Port())
	}
	return req.URL.Scheme == "https"
}

func (t *Transport) onlyHTTP3() bool { return slices.Equal(t.Versions, []string{"3"}) }

// serverNameKey is the placeholder of the name that the certificate of a server over HTTP/3 must
// have.
const serverNameKey = "http.authenticated_api.server_name"

// roundTrip sends a request with the embedded transport. Over HTTP/3 that transport dials for
// itself, so it is given an address to dial in the place of a name.
func (t *Transport) roundTrip(out *http.Request) (*http.Response, error) {
	if t.onlyHTTP3() {
		addrs, err := t.sender.guard.Resolve(out.Context(), "udp", out.URL.Host)
		if err != nil {
			return nil, err
		}
		if repl, ok := out.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Set(serverNameKey, out.URL.Hostname())
		}
		u := *out.URL
		u.Host = addrs[0].String()
		out.URL = &u
		if !*t.Compression && len(out.Header["Accept-Encoding"]) == 0 {
			// Nothing else keeps that client from asking for gzip.
			out.Header.Set("Accept-Encoding", "identity")
		}
	}
	peer.GuardLog()
	res, err := t.sender.current().RoundTrip(out)
	if err == nil {
		if err := peer.Unusable(out, res); err != nil {
			// A health check would read a 101 without end, and a client would get an empty 200.
			_ = res.Body.Close()
			return nil, err
		}
	}
	return res, quiet(err)
}

// RequestHeaderOps implements reverseproxy.RequestHeaderOpsTransport. With a base URL the
// transport sets Host itself, which saves the proxy a copy of all header fields.
func (t *Transport) RequestHeaderOps() *headers.HeaderOps {
	if t.bound != nil && t.bound.host() != "" {
		return nil
	}
	return t.HTTPTransport.RequestHeaderOps()
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps a private key out of logs.
func (t *Transport) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("protocol", "authenticated_api")
	enc.AddString("datasource", t.Datasource)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
	_ zapcore.ObjectMarshaler                          = (*Transport)(nil)
)
