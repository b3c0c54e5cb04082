// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/caddyserver/caddy/v2"
)

// exchange is what the handler hands to the transport for one request, and what the transport
// needs to send it.
type exchange struct {
	ds         *datasource
	source     auth.Source // of the connection that the request uses
	credential *auth.Credential
	values     *values
	fields     *edit.Fields
	params     *edit.Parameters
	caller     *http.Request // as it came, before the proxy changes it

	// turned says that the API has redirected the request for the base URL to the base URL with
	// the other ending, see wire.BaseURL.JoinItself.
	turned bool

	// written says that the handler has put all this on the request already: see own_proxy.go.
	written bool

	// explained says that the request is explained, and not sent.
	explained *explanation

	failed error // why the last attempt has no answer
	ahead  body  // what was read of the body to sign it, for an attempt that has found no connection

	clone   // what is sent first; a request that is sent again has a clone of its own
	interim // what the hooks for interim responses need

	answering answering // of a handler that serves the request itself
	serving   *serving  // of a handler that leaves the request to Caddy's proxy
}

// sentRequest is what is known of a request that was sent when its answer comes.
type sentRequest struct {
	clean.Sent

	// url is what was asked for, with params and credential in its query.
	url        *url.URL
	params     *edit.Parameters
	credential *auth.Credential
}

// newExchange returns an exchange for a request. It waits for a credential if there is none.
func (ds *datasource) newExchange(r *http.Request) (*exchange, *problem.Problem, error) {
	var source auth.Source = ds.method
	if ds.users != nil {
		var ok bool
		if source, ok = ds.users.SourceFor(r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)); !ok {
			return nil, ds.account.nobody(), errNoIdentity
		}
		logConnection(r, source)
	}
	credential, err := source.Credential(r.Context())
	if err != nil {
		err = ds.account.discovered(r.Context(), err)
		return nil, ds.account.problemOf(err, time.Now()), err
	}
	x := exchanges.Get().(*exchange)
	if err := ds.values.Load().evaluate(x, r); err != nil {
		return nil, problem.BadValue, err // x is as it was, but it is not worth a way back
	}
	x.ds, x.source, x.credential = ds, source, credential
	x.caller = r
	return x, nil, nil
}

// answers completes what is known of out, which carries credential and signed, for its answer.
func (x *exchange) answers(sent *sentRequest, out *http.Request, credential *auth.Credential, signed []string) {
	sent.Secrets = secret.Lists{credential.Secrets()}
	if credential != x.credential {
		sent.Secrets[1] = x.credential.Secrets()
	}
	sent.Secrets[2] = signed
	sent.Hosts = [3]string{out.Host, out.URL.Host, x.caller.Host}
	sent.url, sent.params, sent.credential = out.URL, x.params, credential
}

// edit makes the operator's edits to a request that is sent. If the handler has written them
// already, only those are made again that have the same outcome if they are made twice.
func (x *exchange) edit(out *http.Request) {
	if x.written {
		x.fields.ApplySet(out.Header)
		out.URL.RawQuery = x.params.ApplySet(out.URL.RawQuery)
		return
	}
	x.fields.Apply(out.Header)
	out.URL.RawQuery = x.params.Apply(out.URL.RawQuery)
}
