// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// revokePatience is how long the first of two tokens is waited for before the second one is sent, too.
const revokePatience = 200 * time.Millisecond

// revoke tells the provider that tokens are of no use any more (RFC 7009), if it has an endpoint for that.
func (m *Method) revoke(ctx context.Context, token *Token) error {
	to, err := m.resolve()
	if err != nil {
		return &Error{Err: err}
	}
	ctx = knowing(ctx, token.texts)
	switch {
	case to.revocationURL == "" || token.access == "" && token.refresh == "":
		return nil
	case token.refresh == "":
		return m.revokeOne(ctx, to, token.access, "access_token")
	case token.access == "":
		return m.revokeOne(ctx, to, token.refresh, "refresh_token")
	}
	// Both tokens are tried, whatever comes of the first: where the refresh token cannot be revoked (RFC 7009 §2.2.1 has
	// unsupported_token_type for that) the access token may be. A provider that hangs gets the second one meanwhile.
	first := make(chan error, 1)
	go func() { first <- m.revokeOne(ctx, to, token.refresh, "refresh_token") }()
	patience := time.NewTimer(revokePatience)
	defer patience.Stop()
	select {
	case err = <-first:
		first <- err
	case <-patience.C:
	}
	accessErr := m.revokeOne(ctx, to, token.access, "access_token")
	if err = <-first; err == nil {
		// The access token goes with the refresh token (RFC 7009 §2.1); a provider that has seen to that may call it unknown.
		return nil
	}
	return errors.Join(err, accessErr)
}

func (m *Method) revokeOne(ctx context.Context, to *client, token, hint string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(m.Timeout))
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	if m.ClientAuth == authPost || m.ClientAuth == authNone {
		form.Set("client_id", to.id)
	}
	if m.ClientAuth == authPost {
		form.Set("client_secret", to.secret)
	}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, callKey{}, &call{plain: true}), http.MethodPost, to.revocationURL,
		strings.NewReader(form.Encode()))
	if err != nil {
		return &Error{Host: host(to.revocationURL), Err: networkError(err)}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch m.ClientAuth {
	case "", authBasic:
		req.SetBasicAuth(url.QueryEscape(to.id), url.QueryEscape(to.secret))
	case authBasicRaw:
		req.SetBasicAuth(to.id, to.secret)
	}
	res, err := m.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return e
		}
		return &Error{Host: host(to.revocationURL), Err: networkError(err)}
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return nil
	}
	e := &Error{Host: host(to.revocationURL), Status: res.StatusCode}
	if got, err := parseAnswer(body); err == nil {
		e.Code = got.errorCode
		e.Description = describe(got.description, slices.Concat(m.secrets(to), knownTokens(ctx))...)
	}
	return e
}
