// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// revokeAll revokes the tokens of one grant; the last is the newest. The older refresh tokens
// are spent, but the older access tokens may still be valid.
func (r *replica) revokeAll(ctx context.Context, tokens []*record.Token) error {
	newest := tokens[len(tokens)-1]
	var older error
	for _, token := range tokens[:len(tokens)-1] {
		if token.Access != newest.Access {
			older = errors.Join(older, r.set.Revoke(ctx, &record.Token{Access: token.Access}))
		}
	}
	if err := r.set.Revoke(ctx, newest); err != nil {
		return errors.Join(err, older)
	}
	return nil
}

// discard revokes a token that came too late to be stored, if stored says that the account was
// disconnected meanwhile: nobody else revokes it.
func (r *replica) discard(token, stored *record.Token) {
	if stored.End.Reason != record.ReasonDisconnected || token.Access == "" {
		return
	}
	go r.revokeQuietly(token)
}

// revokeQuietly revokes a token, and logs an error that nobody waits for.
func (r *replica) revokeQuietly(token *record.Token) {
	err := safely(context.Background(), func(ctx context.Context) error { return r.set.Revoke(ctx, token) })
	if err != nil {
		r.set.Logger.Warn("tokens that are of no use here could not be revoked", zap.Error(err))
	}
}

// RevocationError says that tokens could not be revoked at the provider (RFC 7009). The gateway
// has forgotten them.
type RevocationError struct{ Err error }

// Error implements error.
func (e *RevocationError) Error() string {
	return "revoking the tokens at the provider: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *RevocationError) Unwrap() error { return e.Err }
