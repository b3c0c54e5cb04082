// SPDX-License-Identifier: Apache-2.0

// Package problem has what a caller gets in place of an answer of the API: the problems, each
// with its status and its text, as application/problem+json (RFC 9457) or as a small page for a
// browser. It knows neither Caddy nor which error leads to which problem.
package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Problem is why a request is not served. A Problem does not change: its With methods return
// copies.
type Problem struct {
	code       string
	status     int
	title      string
	detail     string
	allow      string // the Allow header field, for a 405
	oauthError string // the OAuth error that the provider has named
	connectURL string // where a person can connect the account
	retryAfter int    // in seconds; 0: unknown
	own        bool   // it is about the caller's own account, not about one that all share
	more       bool   // the account is connected, and the request needs more than was granted
}

// nowhere is what a text without an address leaves out.
const nowhere = " at connect_url"

// Code is the end of the problem's type. Logs and placeholders have it too.
func (p *Problem) Code() string { return p.code }

// Status is the status of the answer.
func (p *Problem) Status() int { return p.status }

// ConnectURL is where a person can connect the account, or "".
func (p *Problem) ConnectURL() string { return p.connectURL }

// Text says the problem in words, without the address where an account can be connected.
func (p *Problem) Text() string {
	return p.title + ". " + strings.ReplaceAll(p.detail, nowhere, "")
}

// LinkedText is Text with that address.
func (p *Problem) LinkedText() string {
	if p.connectURL == "" {
		return p.Text()
	}
	return p.Text() + " Open " + p.connectURL + " to connect it."
}

// Data returns the problem as a JSON object.
func (p *Problem) Data(datasource string) []byte { return bytes.TrimSpace(p.body(datasource)) }

// Err returns the problem as an error, for the error routes of a server.
func (p *Problem) Err() error { return errors.New(p.code + ": " + p.detail) }

// WithStatus returns the problem with another status.
func (p *Problem) WithStatus(status int) *Problem {
	q := *p
	q.status = status
	return &q
}

// WithoutChallenge returns the problem with a status that asks for no authentication: some clients
// begin an OAuth of their own at a 401, and some at a 403 too.
func (p *Problem) WithoutChallenge() *Problem {
	switch {
	case p.status != http.StatusUnauthorized:
		return p
	case p.code == Identity.code:
		return p.WithStatus(http.StatusBadRequest)
	default:
		return p.WithStatus(http.StatusServiceUnavailable)
	}
}

// WithCause returns the problem with a cause in front of its detail. The cause is shown to the
// caller.
func (p *Problem) WithCause(cause error) *Problem {
	q := *p
	q.detail = cause.Error() + ". " + p.detail
	return &q
}

// WithConnectURL returns the problem with the address where a person can connect the account.
func (p *Problem) WithConnectURL(url string) *Problem {
	q := *p
	q.connectURL = url
	return &q
}

// WithOAuthError returns the problem with the error code that the provider has sent.
func (p *Problem) WithOAuthError(code string) *Problem {
	q := *p
	q.oauthError = code
	return &q
}

// WithRetryAfter returns the problem with the number of seconds after which another attempt makes
// sense.
func (p *Problem) WithRetryAfter(seconds int) *Problem {
	q := *p
	q.retryAfter = seconds
	return &q
}

// body returns the problem as JSON.
func (p *Problem) body(datasource string) []byte {
	text, err := json.Marshal(struct {
		Type       string `json:"type"`
		Title      string `json:"title"`
		Status     int    `json:"status"`
		Detail     string `json:"detail"`
		Datasource string `json:"datasource,omitempty"`
		OAuthError string `json:"oauth_error,omitempty"`
		ConnectURL string `json:"connect_url,omitempty"`
	}{
		"urn:authenticated-api:" + p.code, p.title, p.status, p.detail,
		datasource, p.oauthError, p.connectURL,
	})
	if err != nil {
		return []byte(`{"type":"urn:authenticated-api:` + p.code + `"}`)
	}
	return append(text, '\n')
}

// answer returns the body for a request, a page for a person and JSON for a program, and sets the
// header fields.
func (p *Problem) answer(h http.Header, r *http.Request, datasource string) []byte {
	body := p.body(datasource)
	p.header(h, datasource, len(body))
	h.Add("Vary", "Accept, Sec-Fetch-Mode")
	if navigates(r) {
		return p.page(h, datasource)
	}
	return body
}

func (p *Problem) header(h http.Header, datasource string, length int) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	p.Hints(h, datasource)
}

// Hints sets the header fields that tell a client what it can do.
func (p *Problem) Hints(h http.Header, datasource string) {
	if p.status == http.StatusUnauthorized { // it must have a challenge, RFC 9110 §15.5.2
		h.Set("Www-Authenticate", `Bearer realm="`+datasource+`"`)
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
}

// Write answers a request with the problem.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request, datasource string) error {
	body := p.answer(w.Header(), r, datasource)
	w.WriteHeader(p.status)
	_, err := w.Write(body)
	return err
}

// Response returns the problem as an answer of the API, for a transport. If the transport
// returned an error, the proxy would count a failure of the API (fail_duration).
func (p *Problem) Response(req *http.Request, datasource string) *http.Response {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	header := make(http.Header)
	body := p.answer(header, req, datasource)
	res := &http.Response{
		Status:        strconv.Itoa(p.status) + " " + http.StatusText(p.status),
		StatusCode:    p.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
	return res
}
