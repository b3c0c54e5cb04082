// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
)

// passInterim is how the proxy passes an interim response (1xx) to the client.
type passInterim = func(code int, header textproto.MIMEHeader) error

// interim is what an exchange needs to clean interim responses.
type interim struct {
	req       *http.Request
	pass1xx   passInterim
	retried   *http.Request // the same for attempts that have no part of the exchange
	passAgain passInterim
	onInterim passInterim // cleanInterim, made once
}

// cleanInterim cleans an interim response (1xx) before the proxy passes it to the client.
func (x *exchange) cleanInterim(code int, header textproto.MIMEHeader) error {
	x.ds.cleanHeader(http.Header(header), x.req, x.caller, &x.sent)
	return x.pass1xx(code, header)
}

// hookInterim is the part of hook that every attempt needs. The attempts to send one request share
// the ClientTrace, which still has the hook of the attempt before. That hook must not clean what
// this attempt brings: a link that is mapped twice leads elsewhere.
func (x *exchange) hookInterim(req *http.Request, sent *sentRequest) {
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
