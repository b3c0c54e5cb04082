// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Question is a request that is to be explained, and not sent.
type Question struct {
	Method string `json:"method,omitempty"` // default: GET
	URL    string `json:"url"`

	// As is the user who is taken to send the request.
	As string `json:"as,omitempty"`
}

// Explanation is what would become of a request. It has no secret in it.
type Explanation struct {
	Datasource string `json:"datasource"`

	// Connection is whose connection the request would use, where each user has one.
	Connection string `json:"connection,omitempty"`

	Method string `json:"method,omitempty"`

	// URL is what the API would be asked for. Of what the gateway has put into its query it has
	// the length.
	URL string `json:"url,omitempty"`

	// Upstream is what would be dialled.
	Upstream string `json:"upstream,omitempty"`

	// Headers are the names of the header fields on the wire. The fields that carry the credential
	// and the signature have the length of the secret.
	Headers []string `json:"headers,omitempty"`

	// Removed are parameters of the URL that would not be sent, and header fields that would not
	// be if the client sent them.
	Removed []string `json:"removed,omitempty"`

	// Refused says why the request would not be sent.
	Refused *Refusal `json:"refused,omitempty"`

	// Notes are what cannot be told without sending something.
	Notes []string `json:"notes,omitempty"`
}

// Refusal is the answer to a request that is not sent.
type Refusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	// ConnectURL is where a person can connect the account that is lacking.
	ConnectURL string `json:"connect_url,omitempty"`
}

// explainPatience is how long an explanation may take: a proxy whose upstreams are all down may
// wait for one.
const explainPatience = 5 * time.Second

// serveExplain explains a request.
func serveExplain(w http.ResponseWriter, r *http.Request) error {
	if err := checkMethod(http.MethodPost, w, r); err != nil {
		return err
	}
	bad := func(err error) error { return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err} }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConnectionRequest))
	if err != nil {
		return bad(fmt.Errorf("reading the body: %w", err))
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	var q Question
	if err := dec.Decode(&q); err != nil {
		return bad(fmt.Errorf(`the body: %w; send {"url": "https://…"}`, err))
	}
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return bad(errors.New("url: it is a URL of the gateway, with http:// or https:// and the host"))
	}
	app, err := activeApp()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainPatience)
	defer cancel()
	answer, err := app.Explain(ctx, q)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	return answerJSON(w, answer)
}
