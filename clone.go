// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
)

// A clone of a request and of its header fields costs as many bytes as Caddy's header_up. So the
// clone is a part of the exchange, and exchanges are used again.
//
// The invariant: an exchange is used again only if nothing can refer to its clone any more. That
// is so if the clone went to one connection, and net/http has kept that connection for another
// request. net/http keeps a connection when the request has been written and the response has been
// read (persistConn.wroteRequest). All else leaves the exchange to the garbage collector: a server
// that answers before it has read the request, a failed write that is tried on another connection,
// HTTP/2 and HTTP/3. With a clone that is used again net/http only looks for its address in a map
// of cancel functions (Transport.reqCanceler).

// clone is the request that is sent first, and what is known of its connections.
type clone struct {
	out    http.Request
	url    url.URL
	header http.Header
	sent   sentRequest
	taken  bool // the transport has seen the exchange

	conns atomic.Int32 // connections that the clone went to
	idle  atomic.Int32 // connections that were kept for another request afterwards

	// The hooks that count them, made once, and what gives them to net/http where no proxy has
	// such a thing.
	onConn func(httptrace.GotConnInfo)
	onIdle func(error)
	trace  httptrace.ClientTrace
}

// maxKeptFields bounds the size of the header maps of an exchange that is used again. A client may
// send any number of fields that are removed, which are in the map of answering alone.
const maxKeptFields = 64

var exchanges = sync.Pool{New: func() any {
	x := new(exchange)
	x.header = make(http.Header)
	x.onInterim = x.cleanInterim
	x.answering.onPass = x.answering.pass
	x.onConn = func(httptrace.GotConnInfo) { x.conns.Add(1) }
	x.onIdle = func(err error) {
		if err == nil {
			x.idle.Add(1)
		}
	}
	x.trace.GotConn, x.trace.PutIdleConn = x.onConn, x.onIdle
	return x
}}

// unreferenced reports whether nothing can refer to the clone any more.
func (c *clone) unreferenced() bool {
	return !c.taken || c.conns.Load() == 1 && c.idle.Load() == 1
}

// release ends the exchange, and puts it back to be used again if that is safe.
func (x *exchange) release() {
	if !x.unreferenced() || max(len(x.header), len(x.answering.fields)) > maxKeptFields {
		return
	}
	x.ds, x.source, x.credential, x.values, x.fields, x.params = nil, nil, nil, nil, nil, nil
	x.caller, x.written, x.turned, x.failed, x.ahead, x.serving = nil, false, false, nil, body{}, nil
	x.out, x.url, x.sent, x.taken = http.Request{}, url.URL{}, sentRequest{}, false
	clear(x.header)
	x.answering.reset()
	x.req, x.pass1xx, x.retried, x.passAgain = nil, nil, nil, nil
	x.conns.Store(0)
	x.idle.Store(0)
	exchanges.Put(x)
}

// cloneFor returns a copy of req whose header map is empty and whose URL may be changed, and what
// is to be known of it when its answer comes.
func (x *exchange) cloneFor(req *http.Request, target *url.URL) (*http.Request, *sentRequest) {
	out, u, header, sent := &x.out, &x.url, x.header, &x.sent
	if x.taken || !x.hook(req) {
		out, u, header, sent = new(http.Request), new(url.URL), make(http.Header, len(req.Header)), new(sentRequest)
		x.hookInterim(req, sent)
	}
	*out, *u = *req, *target
	out.URL, out.Header = u, header
	return out, sent
}

// hook makes net/http report to the exchange on its clone. The hooks go into the ClientTrace that
// the proxy makes for each attempt: to compose a second ClientTrace with it would cost each
// request more than all else that happens here. hook returns false if the ClientTrace has no room.
func (x *exchange) hook(req *http.Request) bool {
	x.taken = true
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == &x.trace {
		x.req, x.pass1xx = req, x.answering.onPass
		return true
	}
	if trace == nil || trace.Got1xxResponse == nil || trace.GotConn != nil || trace.PutIdleConn != nil {
		return false
	}
	x.req, x.pass1xx = req, trace.Got1xxResponse
	trace.Got1xxResponse, trace.GotConn, trace.PutIdleConn = x.onInterim, x.onConn, x.onIdle
	return true
}

// traced returns a context in which net/http reports to the exchange, for a handler that serves
// the request itself.
func (x *exchange) traced(ctx context.Context) context.Context {
	trace := &x.trace
	if httptrace.ContextClientTrace(ctx) == nil {
		trace.Got1xxResponse = x.onInterim
	} else {
		// WithClientTrace puts the hooks of another handler into ours, where they would stay.
		trace = &httptrace.ClientTrace{Got1xxResponse: x.answering.onPass}
	}
	return httptrace.WithClientTrace(ctx, trace)
}
