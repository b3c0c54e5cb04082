// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
)

// connectionError turns an error of package oauth into one of the admin API. subject is the
// connection. An error of an unknown kind is not shown, since a storage module may write anything
// into its errors; the log has it.
func connectionError(h http.Header, subject string, err error) error {
	if known, ok := errors.AsType[caddy.APIError](err); ok {
		return known
	}
	if e, ok := errors.AsType[*oauth.AuthorizationError](err); ok {
		return caddy.APIError{
			HTTPStatus: http.StatusConflict, Err: err,
			Message: fmt.Sprintf("%s must be connected: %s; caddy authenticated-api connect <name> makes a link for that", subject, authorizationReason(e)),
		}
	}
	if errors.Is(err, oauth.ErrNotRenewable) {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: err, Message: fmt.Sprintf("%s: %v", subject, err)}
	}
	if e, ok := errors.AsType[*oauth.EarlyRefusalError](err); ok {
		reason := &oauth.AuthorizationError{Reason: oauth.ReasonRefused, Code: e.Err.Code, Description: e.Err.Description}
		return caddy.APIError{
			HTTPStatus: http.StatusConflict, Err: err,
			Message: fmt.Sprintf("%s: %s; the token in use is valid and goes on being used, and the provider is asked again when it has ended",
				subject, authorizationReason(reason)),
		}
	}
	out := caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	e, fromProvider := errors.AsType[*oauth.Error](err)
	switch {
	case fromProvider:
		out.Message = fmt.Sprintf("%s: %s; %s", subject, e.Error(), e.Remedy())
		if e.Rejected() {
			out.HTTPStatus = http.StatusBadGateway
		} else if wait := time.Until(e.Retry); wait > 0 {
			h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		}
	case errors.Is(err, oauth.ErrKeyMissing):
		out.Message = fmt.Sprintf("%s: %v; add that key to the global option key of authenticated_api", subject, oauth.ErrKeyMissing)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		out.Message = subject + ": there was no answer in time"
	default:
		out.Message = subject + ": that failed here; Caddy's log says why"
	}
	return out
}

// authorizationReason says why an account must be connected.
func authorizationReason(e *oauth.AuthorizationError) string {
	words := map[string]string{
		oauth.ReasonNotConnected: "nobody has done so",
		oauth.ReasonDisconnected: "it was disconnected",
		oauth.ReasonExpired:      "the provider has issued no refresh token, so its token lasts until it expires",
		oauth.ReasonRevoked:      "the provider has withdrawn what it had granted",
		oauth.ReasonRefused:      "the provider refuses its refresh token",
		oauth.ReasonLost:         "the answer with its next refresh token was lost in a crash",
		oauth.ReasonDamaged:      "what was stored of it is damaged",
	}[e.Reason]
	if words == "" {
		words = e.Reason
	}
	if e.Code != "" {
		words += " (" + e.Code + ")"
	}
	if e.Description != "" {
		words += `, as "` + e.Description + `"`
	}
	return words
}
