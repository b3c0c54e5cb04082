// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// unreachable deals with the proxy's error that there is no answer of the API. It logs the error
// with what can be done about it, and the caller gets a problem in the place of an empty 502.
// Error routes of the site for it, or those that `errors caddy` asks for, come first, as with any
// proxy. Other errors are returned as they are.
func (h *Handler) unreachable(w http.ResponseWriter, r *http.Request, x *exchange, err error) error {
	e, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || !x.noAnswer(e) {
		return err
	}
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	upstream, _ := repl.GetString("http.reverse_proxy.upstream.hostport")
	h.logger.Error("the API cannot be reached, or has given no answer", zap.String("datasource", h.ds.name), zap.String("upstream", upstream),
		zap.Int("status", e.StatusCode), zap.Error(e.Err), zap.String("remedy", remedy(e.Err)))
	h.ds.meter.reject(problem.Unreachable)
	setProblem(r, h.ds.name, problem.Unreachable)
	if h.Errors == "caddy" || h.ds.site.catches(r, err) {
		return err
	}
	return problem.Unreachable.WithStatus(e.StatusCode).Write(w, r, h.ds.name)
}

// errNoUpstreams is what Caddy's proxy says when all its upstreams are taken to be down.
const errNoUpstreams = "no upstreams available"

// noAnswer reports whether an error of the proxy is that the API has not answered: it is the
// transport's own error, or all upstreams are taken to be down already.
func (x *exchange) noAnswer(e caddyhttp.HandlerError) bool {
	switch e.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return x.failed != nil && errors.Is(e.Err, x.failed)
	case http.StatusServiceUnavailable:
		return !x.written && e.Err != nil && e.Err.Error() == errNoUpstreams
	default:
		return false
	}
}

// remedies say what an operator can do about an error of a transport that has a type.
var remedies = []struct {
	is     func(error) bool
	remedy string
}{
	{is[x509.UnknownAuthorityError], "the certificate is signed by nobody whom this machine trusts; name it, or its authority's, with self_signed_cert"},
	{is[x509.HostnameError], "the certificate is for another name; put a name that it has into the base URL, or into tls_server_name"},
	{is[x509.CertificateInvalidError], "the certificate is not valid, as the error says; it has to be renewed at the API, or this machine's clock is wrong"},
	{as(http.ErrSchemeMismatch), "the API speaks no TLS at that port; write http:// in the base URL, or the port where it does"},
	{as(syscall.ECONNREFUSED), "nothing listens there; look at the host and the port of the base URL, and whether the API runs (in a container, " +
		"localhost is the container itself)"},
	{as(syscall.ENETUNREACH), "there is no way into that network from here; look at the address that the host of the base URL has, and at IPv6"},
	{as(syscall.EHOSTUNREACH), "there is no machine of that address; look at what the host of the base URL resolves to"},
	{as(syscall.ENOENT), "there is no such socket; look at its path, and whether the API runs"},
	{as(syscall.EACCES), "the user that Caddy runs as may not connect there"},
	{as(peer.ErrSwitched), "what answers there is no HTTP API; look at the base URL"},
	{as(peer.ErrStatus), "what answers there is no HTTP API; look at the base URL"},
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// as matches an error by its text too: Caddy's dialer wraps errors in a type that does not tell
// its cause.
func as(target error) func(error) bool {
	return func(err error) bool {
		return errors.Is(err, target) || strings.HasSuffix(err.Error(), ": "+target.Error())
	}
}

// phrases are the same for errors of which net/http and crypto/tls export only the text.
var phrases = []struct{ part, remedy string }{
	{errNoUpstreams, "all upstreams are taken to be down, by health checks or fail_duration; the log says why since when"},
	{"remote error: tls: unrecognized name", "the API does not know the name that it was asked for in the TLS handshake; set tls_server_name"},
	{"remote error: tls:", "the API refuses the TLS handshake; if it wants a client certificate, put it and its key into self_signed_cert, or use " +
		"tls_client_auth"},
	{"tls: first record does not look like", "the API speaks no TLS at that port; write http:// in the base URL, or the port where it does"},
	{"malformed HTTP ", "what answers there speaks no HTTP/1.1; if the port is for TLS, write https:// in the base URL"},
	{"the proxy has refused a tunnel", "look at network_proxy, or at HTTPS_PROXY, and at what that proxy allows"},
	{"timeout awaiting response headers", "the API takes longer than response_header_timeout"},
	{"TLS handshake timeout", "what listens there does not speak TLS, or is overloaded; look at the port of the base URL, and at http against https"},
	{"no such host", "the name does not exist for the name servers of this machine; look at the host of the base URL, or name others with resolvers"},
}

// remedy says what an operator can do about an error of a transport.
func remedy(err error) string {
	if r := dial.Remedy(err); r != "" {
		return r
	}
	for _, r := range remedies {
		if r.is(err) {
			return r.remedy
		}
	}
	text := err.Error()
	for _, p := range phrases {
		if strings.Contains(text, p.part) {
			return p.remedy
		}
	}
	if is[*net.DNSError](err) {
		return "the name servers of this machine do not answer; mend that, or name others with resolvers"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "nothing answers in time; look at the host and the port of the base URL, and at what filters packets in between (dial_timeout)"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return "the API has closed the connection without an answer; look at its own log, and at http against https in the base URL"
	}
	return "look at what the error names, at the base URL, and at the API's own log"
}
