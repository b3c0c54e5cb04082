// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// revokePatience is how long the first of two tokens is waited for before the second one is sent,
// too.
const revokePatience = 200 * time.Millisecond

// Revoke tells the provider that tokens are of no use any more (RFC 7009), if it has an endpoint
// for that. "" stands for no token. Its errors are *Error, perhaps joined.
func (c *Client) Revoke(ctx context.Context, cfg *Config, accessToken, refreshToken string) error {
	switch {
	case cfg.RevocationURL == "" || accessToken == "" && refreshToken == "":
		return nil
	case refreshToken == "":
		return c.revoke(ctx, cfg, accessToken, "access_token")
	case accessToken == "":
		return c.revoke(ctx, cfg, refreshToken, "refresh_token")
	}
	// Both tokens are tried, whatever comes of the first: where the refresh token cannot be
	// revoked (RFC 7009 §2.2.1 has unsupported_token_type for that) the access token may be. If
	// the provider hangs, the second one is sent meanwhile.
	first := make(chan error, 1)
	go func() { first <- c.revoke(ctx, cfg, refreshToken, "refresh_token") }()
	patience := time.NewTimer(revokePatience)
	defer patience.Stop()
	select {
	case err := <-first:
		first <- err
	case <-patience.C:
	}
	accessErr := c.revoke(ctx, cfg, accessToken, "access_token")
	err := <-first
	if err == nil {
		// The access token goes with the refresh token (RFC 7009 §2.1). A provider that has seen
		// to that may call the access token unknown.
		return nil
	}
	return errors.Join(err, accessErr)
}

// revoke revokes one token. No recover stands above its callers in the background, so a panic ends
// here.
func (c *Client) revoke(ctx context.Context, cfg *Config, token, hint string) (err error) {
	defer func() {
		if p := recover(); p != nil { // its value may hold anything
			err = &Error{Host: host(cfg.RevocationURL), Err: fmt.Errorf("revoking a token panicked with a %T", p)}
		}
	}()
	ctx, cancel := withTimeout(ctx, cfg.Timeout)
	defer cancel()
	a := &attempt{
		cfg: cfg, auth: cfg.clientAuth(), endpoint: cfg.RevocationURL, header: make(http.Header),
		form: url.Values{"token": {token}, "token_type_hint": {hint}},
	}
	if err := a.authenticate(); err != nil {
		return a.failed(err)
	}
	req, err := a.request(ctx, false)
	if err != nil {
		return a.failed(networkError(err))
	}
	t := c.send(req)
	fail := &Error{Host: host(a.endpoint), ClientAuth: a.auth.name, Delivery: t.delivery()}
	if t.err != nil {
		fail.Err = networkError(t.err)
		return fail
	}
	if isSuccess(t.res.StatusCode) { // what else is in the answer does not matter (RFC 7009 §2.2)
		return nil
	}
	fail.Status = t.res.StatusCode
	if got, err := parseAnswer(t.body); err == nil {
		fail.Code, fail.Description = got.errorCode, a.describe(got)
	}
	return fail
}
