// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// problem is why a request is not served. To the caller it is an application/problem+json (RFC 9457).
type problem struct {
	code   string // the end of the problem's type, and a metric's label
	status int
	title  string
	detail string
	allow  string // the Allow header field, for a 405
	oauth  string // the OAuth error that the provider has named
	url    string // where a human being can mend it
	retry  int    // the seconds after which another attempt makes sense; 0: unknown
}

var (
	problemBadPath = problem{
		code: "bad-path", status: http.StatusBadRequest, title: "The path is ambiguous",
		detail: `A segment of the path is "..", as such or encoded, or holds NUL. Send the path that it leads to.`,
	}
	problemOutside = problem{
		code: "bad-path", status: http.StatusBadRequest, title: "A header field names a place elsewhere",
		detail: "Send a URL of this route, or what the API calls a place below its base URL.",
	}
	problemBadValue = problem{
		code: "bad-value", status: http.StatusBadRequest, title: "A value cannot be sent",
		detail: "A header field that is made from this request would have a control character in it, or a signed claim would not be UTF-8.",
	}
	problemTooManyFields = problem{
		code: "too-many-fields", status: http.StatusRequestHeaderFieldsTooLarge, title: "The request has too many header fields",
		detail: "It has more header fields, cookies or trailers than the gateway passes on. Send fewer.",
	}
	problemTooManyParams = problem{
		code: "too-many-params", status: http.StatusBadRequest, title: "The query has too many parameters",
		detail: "It has more parameters than the gateway passes on. Send fewer, or send them in several requests.",
	}
	problemMethod = problem{
		code: "method-not-allowed", status: http.StatusMethodNotAllowed, title: "The method is not allowed",
		detail: "TRACE, and CONNECT for anything but a WebSocket, are never sent to an API.",
		allow:  "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
	}
	problemTokenUnavailable = problem{
		code: "token-unavailable", status: http.StatusServiceUnavailable, title: "There is no credential at present",
		detail: "The credential for the API could not be obtained. The gateway's log says why.",
	}
	problemTokenRejected = problem{
		code: "token-rejected", status: http.StatusBadGateway, title: "The provider refuses the gateway",
		detail: "The provider of the API's tokens refuses the gateway for good. Its operator has to mend that; the gateway's log says how.",
	}
	problemKeyMissing = problem{
		code: "key-missing", status: http.StatusServiceUnavailable, title: "The stored connection cannot be opened",
		detail: "The stored connection was sealed with a key that this gateway lacks.",
	}
	problemIdentity = problem{
		code: "identity-required", status: http.StatusUnauthorized, title: "It is not known who you are",
		detail: "Each user of this API has a connection of their own, and the request does not say whose it is. Authenticate to the gateway.",
	}
	problemAuthorization = problem{
		code: "authorization-required", status: http.StatusServiceUnavailable, title: "The API is not connected",
		detail: "An operator of the gateway must connect an account of the API at connect_url.",
	}
	problemOwnAuthorization = problem{
		code: "authorization-required", status: http.StatusUnauthorized, title: "Your account is not connected",
		detail: "Connect your account of the API at connect_url.",
	}
	problemNoSession = problem{
		code: "no-session", status: http.StatusBadGateway, title: "The gateway is misconfigured",
		detail: "This route sends to an authenticated API without the authenticated_api handler of that API in front, or without TLS.",
	}
	problemNoProxy = problem{
		code: "no-session", status: http.StatusBadGateway, title: "The gateway is misconfigured",
		detail: "This route has no proxy behind the authenticated_api handler.",
	}
	problemRedirect = problem{
		code: "redirect", status: http.StatusBadGateway, title: "The API redirects to itself",
		detail: "The API sends this request to where the gateway has sent it already: to https or to another host of its own, mostly. " +
			"Its operator has to write that into the base URL; the gateway's log says more.",
	}
	problemUnreachable = problem{
		code: "api-unreachable", status: http.StatusBadGateway, title: "The API does not answer",
		detail: "The API could not be reached, or has given no answer. The gateway's log says why.",
	}
	problemSignature = problem{
		code: "signature", status: http.StatusBadGateway, title: "The request could not be signed",
		detail: "The gateway's log says why.",
	}
)

// body returns the problem as JSON.
func (p *problem) body(datasource string) []byte {
	text, err := json.Marshal(struct {
		Type       string `json:"type"`
		Title      string `json:"title"`
		Status     int    `json:"status"`
		Detail     string `json:"detail"`
		Datasource string `json:"datasource,omitempty"`
		OAuthError string `json:"oauth_error,omitempty"`
		ConnectURL string `json:"connect_url,omitempty"`
	}{"urn:authenticated-api:" + p.code, p.title, p.status, p.detail, datasource, p.oauth, p.url})
	if err != nil {
		return []byte(`{"type":"urn:authenticated-api:` + p.code + `"}`)
	}
	return append(text, '\n')
}

var errNoIdentity = errors.New("the option connection has no value for the request")

// problemOf returns the problem that there is no credential, and why.
func (ds *datasource) problemOf(err error, now time.Time) *problem {
	if errors.Is(err, oauth.ErrKeyMissing) {
		return &problemKeyMissing
	}
	if _, ok := errors.AsType[*oauth.AuthorizationError](err); ok {
		p := problemAuthorization
		if ds.perUser() {
			p = problemOwnAuthorization
		}
		p.url = ds.account.connectURL
		return &p
	}
	p := problemTokenUnavailable
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		if e.Rejected() {
			p = problemTokenRejected
		} else if wait := e.Retry.Sub(now); wait > 0 {
			p.retry = int((wait + time.Second - 1) / time.Second)
		}
		p.oauth = e.Code
	}
	if p.status == http.StatusServiceUnavailable && p.retry == 0 {
		p.retry = 1
	}
	return &p
}

func (p *problem) header(h http.Header, datasource string, length int) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	p.hints(h, datasource)
}

// hints sets the header fields that tell a client what it can do.
func (p *problem) hints(h http.Header, datasource string) {
	if p.status == http.StatusUnauthorized { // which must say how to authenticate, RFC 9110 §15.5.2
		h.Set("Www-Authenticate", `Bearer realm="`+datasource+`"`)
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
}

// answer writes the problem, or hands it to Caddy's error routes.
func (p *problem) answer(w http.ResponseWriter, r *http.Request, datasource string, errorRoutes bool) error {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.authenticated_api.datasource", datasource)
		repl.Set("http.authenticated_api.error_code", p.code)
	}
	if errorRoutes {
		p.hints(w.Header(), datasource)
		return caddyhttp.Error(p.status, errors.New(p.code+": "+p.detail))
	}
	body := p.body(datasource)
	p.header(w.Header(), datasource, len(body))
	if p.url != "" {
		w.Header().Add("Vary", "Accept, Sec-Fetch-Mode")
		if navigates(r) {
			body = p.page(w.Header(), datasource)
		}
	}
	w.WriteHeader(p.status)
	_, err := w.Write(body)
	return err
}

// response is the problem as an answer of the API. A transport that returned an error instead would make the proxy
// count a failure of the API (fail_duration).
func (p *problem) response(req *http.Request, datasource string) *http.Response {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	body := p.body(datasource)
	res := &http.Response{
		Status:        strconv.Itoa(p.status) + " " + http.StatusText(p.status),
		StatusCode:    p.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header),
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
	p.header(res.Header, datasource, len(body))
	return res
}
