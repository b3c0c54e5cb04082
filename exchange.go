// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// exchange is what the handler hands to the transport for one request, and what the transport needs to send it.
//
// A clone of a request and of its header fields costs as many bytes as Caddy's header_up. So the clone is a part of the
// exchange, and exchanges are used again; release says when.
type exchange struct {
	ds         *datasource
	source     auth.Source // of the connection that the request uses
	credential *auth.Credential
	values     *values
	fields     *auth.Fields
	params     *auth.Parameters
	caller     *http.Request // as it came, before the proxy changes it

	// turned says that the API has redirected the request for the base URL to the base URL with the
	// other ending, see auth.BaseURL.JoinItself.
	turned bool

	// written says that the handler has put all this on the request already, since it has no transport of its own.
	written bool

	// The clone that is sent first. A request that is sent again has a clone of its own.
	out    http.Request
	url    url.URL
	header http.Header
	sent   auth.Sent // with it
	taken  bool
	failed error // why the last attempt has no answer

	// What the hooks need, and the hooks, made once.
	req       *http.Request
	pass1xx   passInterim
	retried   *http.Request // the same for attempts that have no part of the exchange
	passAgain passInterim
	conns     atomic.Int32 // connections that the clone went to
	idle      atomic.Int32 // connections that were kept for another request afterwards
	onInterim func(code int, header textproto.MIMEHeader) error
	onConn    func(httptrace.GotConnInfo)
	onIdle    func(error)
}

// passInterim is how the proxy passes an interim response (1xx) to the client.
type passInterim = func(code int, header textproto.MIMEHeader) error

// maxKeptFields bounds the size of the header map of an exchange that is kept.
const maxKeptFields = 64

var exchanges = sync.Pool{New: func() any {
	x := &exchange{header: make(http.Header)}
	x.onInterim = x.interim
	x.onConn = func(httptrace.GotConnInfo) { x.conns.Add(1) }
	x.onIdle = func(err error) {
		if err == nil {
			x.idle.Add(1)
		}
	}
	return x
}}

// exchangeVar is where an exchange lies among the variables of a request. The request's context would be the better
// place, but it costs a copy of the request.
const exchangeVar = "authenticated_api.exchange"

// slot is what lies in that place. Its exchange comes and goes, but the map of the variables is written only before a
// request is sent: a dial that net/http goes on with after the request has got another connection may read that map still
// (see dialGuard.wrap).
type slot struct{ x *exchange }

// String keeps the secrets of an exchange out of {http.vars.*}.
func (*slot) String() string { return "authenticated_api" }

// slotOf returns the slot of a request, which is made if there is none.
func slotOf(req *http.Request) *slot {
	s, _ := caddyhttp.GetVar(req.Context(), exchangeVar).(*slot)
	if s == nil {
		s = new(slot)
		caddyhttp.SetVar(req.Context(), exchangeVar, s)
	}
	return s
}

// exchangeOf returns the exchange of a request, or nil.
func exchangeOf(req *http.Request) *exchange {
	s, _ := caddyhttp.GetVar(req.Context(), exchangeVar).(*slot)
	if s == nil {
		return nil
	}
	return s.x
}

// newExchange returns an exchange for a request. It waits for a credential if there is none.
func (ds *datasource) newExchange(r *http.Request) (*exchange, *problem.Problem, error) {
	var source auth.Source = ds.method
	if ds.users != nil {
		var ok bool
		if source, ok = ds.users.SourceFor(r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)); !ok {
			return nil, problem.Identity, errNoIdentity
		}
	}
	credential, err := source.Credential(r.Context())
	if err != nil {
		return nil, ds.problemOf(err, time.Now()), err
	}
	x := exchanges.Get().(*exchange)
	if err := ds.values.Load().evaluate(x, r); err != nil {
		return nil, problem.BadValue, err // x is as it was, but it is not worth a way back
	}
	x.ds, x.source, x.credential = ds, source, credential
	x.caller = r
	x.written = ds.base == nil && !ds.served.Load()
	return x, nil, nil
}

// answers completes what is known of out, which carries credential, for its answer.
func (x *exchange) answers(sent *auth.Sent, out *http.Request, credential *auth.Credential) {
	sent.Secrets = auth.Secrets{credential.Secrets()}
	if credential != x.credential {
		sent.Secrets[1] = x.credential.Secrets()
	}
	if x.ds.signer != nil {
		sent.Secrets[2] = out.Header[x.ds.signer.Header()]
	}
	sent.Hosts = [3]string{out.Host, out.URL.Host, x.caller.Host}
	sent.URL, sent.Params, sent.Credential = out.URL, x.params, credential
}

// release ends the exchange. It is used again only if nothing can refer to its clone any more: the clone went to one
// connection, and that connection was kept for another request. net/http keeps a connection when the request has been
// written and the response read (persistConn.wroteRequest); a server that answers before it has read the request, a
// failed write that is tried on another connection, HTTP/2 and HTTP/3 all leave the exchange to the garbage collector. What net/http
// still does with it then is to look for its address in a map of cancel functions (Transport.reqCanceler).
func (x *exchange) release() {
	if x.taken && (x.conns.Load() != 1 || x.idle.Load() != 1) || len(x.header) > maxKeptFields {
		return
	}
	x.ds, x.source, x.credential, x.values, x.fields, x.params = nil, nil, nil, nil, nil, nil
	x.caller, x.written, x.turned, x.failed = nil, false, false, nil
	x.out, x.url, x.sent, x.taken = http.Request{}, url.URL{}, auth.Sent{}, false
	clear(x.header)
	x.req, x.pass1xx, x.retried, x.passAgain = nil, nil, nil, nil
	x.conns.Store(0)
	x.idle.Store(0)
	exchanges.Put(x)
}

// clone returns a copy of req whose header map is empty and whose URL may be changed, and what is
// to be known of it when its answer comes.
func (x *exchange) clone(req *http.Request, target *url.URL) (*http.Request, *auth.Sent) {
	out, u, header, sent := &x.out, &x.url, x.header, &x.sent
	if x.taken || !x.hook(req) {
		out, u, header, sent = new(http.Request), new(url.URL), make(http.Header, len(req.Header)), new(auth.Sent)
		x.hookInterim(req, sent)
	}
	*out, *u = *req, *target
	out.URL, out.Header = u, header
	return out, sent
}

// hook makes the transport report to the exchange on its clone. The hooks go into the ClientTrace that the proxy makes
// for each attempt: to compose another one with it would cost each request more than all else that happens here. It
// returns false if that is impossible.
func (x *exchange) hook(req *http.Request) bool {
	x.taken = true
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil || trace.Got1xxResponse == nil || trace.GotConn != nil || trace.PutIdleConn != nil {
		return false
	}
	x.req, x.pass1xx = req, trace.Got1xxResponse
	trace.Got1xxResponse, trace.GotConn, trace.PutIdleConn = x.onInterim, x.onConn, x.onIdle
	return true
}

// interim cleans an interim response (1xx) before the proxy passes it to the client.
func (x *exchange) interim(code int, header textproto.MIMEHeader) error {
	x.ds.cleanHeader(http.Header(header), x.req, x.caller, &x.sent)
	return x.pass1xx(code, header)
}

// hookInterim is the part of hook that every attempt needs. The attempts to send one request share the ClientTrace, in which
// the hook of the attempt before is still. That must not clean what this attempt brings: a link that is mapped twice leads
// elsewhere.
func (x *exchange) hookInterim(req *http.Request, sent *auth.Sent) {
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return
	}
	ds, caller, pass := x.ds, x.caller, x.pass1xx
	if x.req != req {
		if x.retried != req {
			x.retried, x.passAgain = req, trace.Got1xxResponse
		}
		pass = x.passAgain
	}
	trace.Got1xxResponse = func(code int, header textproto.MIMEHeader) error {
		ds.cleanHeader(http.Header(header), req, caller, sent)
		return pass(code, header)
	}
}
