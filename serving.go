// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// A handler that has a transport of its own is its own proxy. A request costs about three fifths
// of the allocations of one that Caddy's proxy sends. What the handler does not do itself it
// leaves to a proxy of Caddy's (serving_proxy.go): requests that ask for another protocol, since
// Caddy ends the connections of those at a reload; and all requests of a datasource whose API is
// told of the client.
//
// serving is what such a handler adds: the request that Caddy's proxy would make
// (serving_request.go), and the answer as Caddy's proxy would pass it (serving_answer.go).
type serving struct {
	ds        *datasource
	transport *Transport
	logger    *zap.Logger
	caddys    *reverseproxy.Handler
	shared    bool // caddys is the catalogue's
	always    bool // whether Caddy's proxy serves all requests

	// The address of the API, as Caddy's placeholders have it.
	network, address, host, port string

	// The address of the API, as Caddy's proxy has it, and its count of the requests.
	upstream     reverseproxy.Upstream
	upstreamHost reverseproxy.Host

	inFlight atomic.Int64
}

// newServing provisions the transport of a handler. in is the catalogue that the handler is in,
// nil if it is in none.
func newServing(ctx caddy.Context, ds *datasource, t *Transport, in *Catalogue) (*serving, error) {
	if ds.base == nil {
		return nil, errors.New("transport: without a base_url the proxy is one of your own, and the transport belongs to it")
	}
	if t.Datasource != "" {
		return nil, errors.New("transport: datasource: the transport of a handler is for the datasource of the handler; remove it")
	}
	var all *senders
	if in != nil {
		all = in.senders
	}
	if err := provisionFor(ctx, ds, t, all); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s := &serving{ds: ds, transport: t, logger: loggerOf(ds.site.app, new(reverseproxy.Handler))}
	s.host, s.port = ds.base.Hostname(), ds.base.Port()
	s.address = net.JoinHostPort(s.host, s.port)
	s.network = caddy.JoinNetworkAddress("tcp", s.host, s.port)
	s.always = t.ProxyProtocol != "" || tellsOfClient(ds)
	return s, s.useCaddysProxy(ctx, in)
}

// provisionFor provisions the transport of a handler that is its own proxy.
func provisionFor(ctx caddy.Context, ds *datasource, t *Transport, all *senders) error {
	if t.HTTPTransport == nil {
		t.HTTPTransport = new(reverseproxy.HTTPTransport)
	}
	switch {
	case ds.base.TLS() && t.TLS == nil:
		t.TLS = new(reverseproxy.TLSConfig)
	case !ds.base.TLS() && t.TLS != nil:
		return errors.New("tls: the base URL is http; write https there, or remove it")
	case !ds.base.TLS() && t.SelfSignedCert != "":
		return errors.New(certOption + ": the base URL is http, so there is no certificate to trust; write https, or remove it")
	}
	t.bound, t.Datasource = ds, ds.name
	return provisionTransport(ctx, ds.site.app, t, all)
}

// tellsOfClient reports whether the API gets one of the fields in which a proxy tells of the
// client and of itself. What stands in them depends on whom Caddy trusts, so Caddy writes them.
func tellsOfClient(ds *datasource) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via"} {
		if !ds.cleaner.Drops(name) {
			return true
		}
	}
	return false
}

// cleanup ends the connections to the API that no request uses, and, as Caddy does, those that
// have switched protocols.
func (s *serving) cleanup() error { return errors.Join(s.endCaddysProxy(), s.transport.Cleanup()) }

// ServeHTTP implements caddyhttp.Handler, as the handler behind ours. The exchange of r has been
// handed over.
func (s *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if s.always || switches(r) {
		return s.serveByCaddy(w, r)
	}
	slot := slotOf(r)
	a := &slot.x.answering
	a.begin(s, w, r, slot)
	defer a.end()
	req := a.request(r)
	if req.Body != nil {
		defer req.Body.Close()
	}
	res, err := s.roundTrip(req, slot)
	if err == nil {
		a.answer(res)
		return nil
	}
	a.failed = err
	if errors.Is(err, context.Canceled) {
		w.WriteHeader(statusClientClosedRequest)
		return nil
	}
	return caddyhttp.Error(statusOfFailure(err), err)
}

// switches reports whether a request asks for another protocol: a WebSocket, mostly. Over HTTP/2
// and HTTP/3 that is a CONNECT (RFC 8441, RFC 9220); the handler has let no other pass.
func switches(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return true
	}
	upgrade := r.Header["Upgrade"]
	return len(upgrade) > 0 && upgrade[0] != "" && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade")
}

// statusOfFailure returns the status that Caddy's proxy has for an error of its transport.
func statusOfFailure(err error) int {
	if strings.Contains(err.Error(), "operation was canceled") {
		return statusClientClosedRequest
	}
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as Caddy's proxy has it
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// roundTrip sends a request, and has the log and the placeholders tell of it.
func (s *serving) roundTrip(req *http.Request, slot *slot) (*http.Response, error) {
	start := time.Now()
	res, err := s.transport.RoundTrip(req)
	latency := time.Since(start)
	slot.x.answering.ended()
	s.tell(req, res, err, latency)
	if err != nil {
		return nil, err
	}
	slot.answered(res, latency)
	return res, nil
}

// Interface guards
var (
	_ caddyhttp.Handler = (*serving)(nil)
)
