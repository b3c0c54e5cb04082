// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Push pushes an authorization request to the provider (RFC 9126), and returns the URL that the
// browser is sent to, which refers to it. Its errors are *Error.
func (c *Client) Push(ctx context.Context, cfg *Config, state, verifier string) (authorizationURL string, err error) {
	ctx, cancel := withTimeout(ctx, cfg.Timeout)
	defer cancel()
	whole := strings.TrimLeft(strings.TrimPrefix(cfg.AuthCodeURL(state, verifier), cfg.AuthorizationURL), "?&")
	form, err := url.ParseQuery(whole)
	if err != nil {
		return "", &Error{Err: err}
	}
	a := &attempt{cfg: cfg, auth: cfg.clientAuth(), endpoint: cfg.PARURL, form: form, header: make(http.Header)}
	t, err := c.proven(ctx, a, false)
	if err != nil {
		return "", err
	}
	fail := &Error{Host: host(a.endpoint), ClientAuth: a.auth.name, Delivery: t.delivery()}
	if t.err != nil {
		fail.Err = networkError(t.err)
		return "", fail
	}
	fail.Status = t.res.StatusCode
	if !isSuccess(fail.Status) {
		fail.Retry = retryAfter(t.res, t.at)
		if got, err := parseAnswer(t.body); err == nil {
			fail.Code, fail.Description = got.errorCode, a.describe(got)
		}
		return "", fail
	}
	members, err := strictObject(t.body)
	uri := usable(text(members["request_uri"]))
	if t.cut != nil || err != nil || uri == "" {
		fail.Err = errors.New("the answer to a pushed authorization request has no request_uri")
		return "", fail
	}
	separator := "?"
	if strings.Contains(cfg.AuthorizationURL, "?") {
		separator = "&"
	}
	return cfg.AuthorizationURL + separator + url.Values{"client_id": {cfg.ClientID}, "request_uri": {uri}}.Encode(), nil
}
