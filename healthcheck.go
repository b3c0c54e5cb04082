// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// healthCheck sends an active health check, with the credential that the datasource holds, if it
// holds one. A health check that would carry the credential in clear is refused, so that its
// upstream counts as unhealthy. Caddy logs the errors of its health checks, and the errors of
// http.Client quote the redirect that led to them. So such errors become answers.
func (t *Transport) healthCheck(req *http.Request) (*http.Response, error) {
	if req.Response == nil {
		res, err := t.ownHealthCheck(req)
		return withoutBadLocation(res), err
	}
	// The redirect may lead anywhere, so it goes without the credential.
	res, err := t.roundTrip(req)
	if err != nil || redirects(req) >= maxRedirects {
		if err == nil {
			_ = res.Body.Close()
		}
		return deadRedirect(req), nil
	}
	return withoutBadLocation(res), nil
}

// maxRedirects is how many redirects a health check follows; http.Client gives up at the tenth.
const maxRedirects = 9

// redirects returns how many redirects have led to a request.
func redirects(req *http.Request) (n int) {
	for ; req != nil && req.Response != nil; n++ {
		req = req.Response.Request
	}
	return n
}

// deadRedirect is the answer of a health check whose redirects lead nowhere.
func deadRedirect(req *http.Request) *http.Response {
	return &http.Response{
		Status: "502 Bad Gateway", StatusCode: http.StatusBadGateway, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody, Request: req,
	}
}

// withoutBadLocation removes a Location that http.Client cannot read.
func withoutBadLocation(res *http.Response) *http.Response {
	if res == nil {
		return nil
	}
	if _, err := url.Parse(res.Header.Get("Location")); err != nil {
		res.Header.Del("Location")
	}
	return res
}

// healthURL returns a copy of the URL of a health check, with what of the credential belongs in
// the path. What the configuration says is a path of the API; if it is below the base URL, a
// credential in the path stands where it does in requests.
func healthURL(base *wire.BaseURL, u *url.URL, credential *auth.Credential) *url.URL {
	out := *u
	if credential.InPath() && base != nil {
		if rest, below := base.Below(wire.EscapedPath(u)); below {
			out.RawPath = credential.Base(base).EscapedPath() + rest
			out.Path = wire.Unescape(out.RawPath, false)
		}
	}
	return &out
}

// ownHealthCheck sends a health check to where the proxy's configuration says.
func (t *Transport) ownHealthCheck(req *http.Request) (*http.Response, error) {
	if t.bound == nil {
		return t.roundTrip(req)
	}
	credential := t.bound.method.Current()
	if credential == nil {
		return t.roundTrip(req)
	}
	return sendWith(t, req, credential, false)
}

// sendWith sends a request that is no client's, with a credential, and with all else that the
// configuration sets and signs without a client; or, if user is true, for the user whose request
// is in the context.
func sendWith(t *Transport, req *http.Request, credential *auth.Credential, user bool) (*http.Response, error) {
	if res := t.refuseInClear(req, t.bound); res != nil {
		return res, nil
	}
	out := new(http.Request)
	*out = *req
	out.Header = req.Header.Clone()
	out.URL = healthURL(t.bound.base, req.URL, credential)
	if host := t.bound.host(); host != "" && req.Host == req.URL.Host {
		out.Host = host
	}
	repl, _ := req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	err := t.bound.values.Load().applyTo(out, repl, user)
	if err == nil {
		err = t.bound.signing.signClaims(out.Header, repl)
	}
	credential.SetHeader(out.Header)
	out.URL.RawQuery = credential.SetQuery(out.URL.RawQuery)
	if err == nil && t.bound.signing.ofRequests() {
		_, err = t.bound.signing.request.SignRequest(&signature.Outgoing{
			Request: out, Encrypted: encrypts(t.TLS, out), Content: func() ([]byte, error) { return nil, nil }, Replacer: repl,
		})
	}
	if err != nil {
		t.logger.Error("signing a health check failed", zap.String("datasource", t.bound.name), zap.Error(err))
		return problem.Signature.Response(req, t.bound.name), nil
	}
	if err := prove(t, out, credential); err != nil {
		t.logger.Error("signing a health check failed", zap.String("datasource", t.bound.name), zap.Error(err))
		return problem.Signature.Response(req, t.bound.name), nil
	}
	return t.roundTrip(out)
}

// applyTo puts the operator's header fields and parameters on a request that is no client's: for a
// user all of them, otherwise the fields that are the same for every request. A health check's
// health_uri stays as it is written, so it gets no parameters.
func (v *values) applyTo(out *http.Request, repl *caddy.Replacer, user bool) error {
	of := func() *caddy.Replacer { return repl }
	all := user && repl != nil
	if all || v.headers.Static() {
		fields, err := v.headers.Evaluate(of)
		if err != nil {
			return err
		}
		fields.Apply(out.Header)
	}
	if all || user && v.query.Static() {
		out.URL.RawQuery = v.query.Evaluate(of).Apply(out.URL.RawQuery)
	}
	return nil
}
