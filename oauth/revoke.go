// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// revoke tells the provider that tokens are of no use any more (RFC 7009), if it has an endpoint for that.
func (m *Method) revoke(ctx context.Context, token *Token) error {
	to, err := m.resolve()
	if err != nil {
		return &Error{Err: err}
	}
	if to.revocationURL == "" || token.access == "" {
		return nil
	}
	if token.refresh == "" {
		return m.revokeOne(ctx, to, token.access, "access_token")
	}
	if err := m.revokeOne(ctx, to, token.refresh, "refresh_token"); err != nil {
		return err
	}
	// The provider should do that by itself (RFC 7009 §2.1); one that has done so may call the access token unknown.
	_ = m.revokeOne(ctx, to, token.access, "access_token")
	return nil
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
	}
	return e
}
