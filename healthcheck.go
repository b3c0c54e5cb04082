// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
)

// healthCheck sends an active health check, with the credential that the datasource holds if it holds one. One that would carry
// it in clear is refused, so that its upstream counts as unhealthy.
func (t *Transport) healthCheck(req *http.Request) (*http.Response, error) {
	if t.bound == nil || req.Response != nil {
		// req.Response is the redirect that led here: it may lead anywhere.
		return t.roundTrip(req)
	}
	credential := t.bound.method.Current()
	if credential == nil {
		return t.roundTrip(req)
	}
	if res := t.refuseInClear(req, t.bound); res != nil {
		return res, nil
	}
	out := new(http.Request)
	*out = *req
	out.Header = req.Header.Clone()
	if query := credential.SetQuery(req.URL.RawQuery); query != req.URL.RawQuery {
		u := *req.URL
		u.RawQuery = query
		out.URL = &u
	}
	if t.bound.base != nil && req.Host == req.URL.Host {
		out.Host = t.bound.base.Host()
	}
	if t.bound.headers.Static() {
		if fields, err := t.bound.headers.Evaluate(nil); err == nil {
			fields.Apply(out.Header)
		}
	}
	repl, _ := req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if err := t.bound.sign(out.Header, repl); err != nil {
		t.logger.Error("signing a health check failed", zap.String("datasource", t.bound.name), zap.Error(err))
		return problemSignature.response(req, t.bound.name), nil
	}
	credential.SetHeader(out.Header)
	return t.roundTrip(out)
}
