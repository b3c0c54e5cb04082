// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// notAuthorized returns what the caller of an MCP server gets in place of a 401: the API has
// refused the credential, and a fresh one was refused too or could not be had.
func notAuthorized(req *http.Request, x *exchange, body body, refusal *http.Response) *http.Response {
	drain(refusal.Body)
	p := problem.Refused
	if _, err := x.source.Credential(req.Context()); err != nil {
		p = x.ds.account.problemOf(err, time.Now())
	} else if x.ds.account.console() != "" {
		p = p.WithConnectURL(x.ds.account.console())
	}
	return refuseSent(req, x, body, p)
}

// refuseSent returns the answer to a request that was sent, and cannot be served. To a client of
// MCP it is JSON-RPC, if the request's body is still there and is JSON-RPC.
func refuseSent(req *http.Request, x *exchange, body body, p *problem.Problem) *http.Response {
	res := x.ds.reject(req, p)
	if !x.ds.mcp {
		return res
	}
	again, ok := body.again()
	if !ok || again == nil || !speaksMCP(req) {
		return res
	}
	messages, _, err := readMCP(req.Header, again)
	_ = again.Close()
	if err != nil {
		return res
	}
	clear(res.Header)
	text := mcpAnswer(x.ds, res.Header, req, messages, p)
	res.StatusCode, res.Status = http.StatusOK, "200 OK"
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return res
}
