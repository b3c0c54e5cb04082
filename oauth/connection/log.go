// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// logFailure tells the operator what has failed and what to do. Of the provider's text it shows
// only provider.Error.Description.
func logFailure(set *Set, token *record.Token, err error, wait time.Duration) {
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok {
		logAuthorization(set, token, e)
		return
	}
	fields := []zap.Field{zap.Duration("next_attempt_in", wait.Round(time.Millisecond))}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fields = append(fields, zap.Inline(e))
		if e.Err != nil {
			fields = append(fields, zap.NamedError("cause", e.Err))
		}
	} else {
		fields = append(fields, zap.Error(err))
	}
	if token.Valid(time.Now()) {
		set.Logger.Warn("renewing the token failed; the old one is still valid", fields...)
		return
	}
	set.Logger.Error("there is no valid token, and none could be obtained", fields...)
}

// logAuthorization tells the operator that a person must connect the account again. It says
// nothing if nobody has connected an account yet: that is no news.
func logAuthorization(set *Set, token *record.Token, e *record.AuthorizationError) {
	if e.Reason == record.ReasonNotConnected || e.Reason == record.ReasonDisconnected {
		return
	}
	fields := []zap.Field{zap.String("reason", string(e.Reason)), zap.String("oauth_error", e.Code), zap.String("console", set.Console)}
	if e.Description != "" {
		fields = append(fields, zap.String("error_description", e.Description))
	}
	if token.Valid(time.Now()) {
		set.Logger.Warn("the account must be connected again before the token expires", fields...)
		return
	}
	set.Logger.Error("the account must be connected again", fields...)
}
