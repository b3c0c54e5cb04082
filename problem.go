// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

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
}

var (
	problemBadPath = problem{
		code: "bad-path", status: http.StatusBadRequest, title: "The path is ambiguous",
		detail: `A segment of the path is "." or "..", as such or encoded, or holds NUL. Send the path that it leads to.`,
	}
	problemBadValue = problem{
		code: "bad-value", status: http.StatusBadRequest, title: "A value cannot be sent",
		detail: "A header field that is made from this request would have a control character in it.",
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
	problemNoSession = problem{
		code: "no-session", status: http.StatusBadGateway, title: "The gateway is misconfigured",
		detail: "This route sends to an authenticated API without the authenticated_api handler of that API in front.",
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
	}{"urn:authenticated-api:" + p.code, p.title, p.status, p.detail, datasource})
	if err != nil {
		return []byte(`{"type":"urn:authenticated-api:` + p.code + `"}`)
	}
	return append(text, '\n')
}

func (p *problem) header(h http.Header, length int) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
}

// answer writes the problem, or hands it to Caddy's error routes.
func (p *problem) answer(w http.ResponseWriter, r *http.Request, datasource string, errorRoutes bool) error {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.authenticated_api.datasource", datasource)
		repl.Set("http.authenticated_api.error_code", p.code)
	}
	if errorRoutes {
		if p.allow != "" {
			w.Header().Set("Allow", p.allow)
		}
		return caddyhttp.Error(p.status, errors.New(p.code+": "+p.detail))
	}
	body := p.body(datasource)
	p.header(w.Header(), len(body))
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
	p.header(res.Header, len(body))
	return res
}
