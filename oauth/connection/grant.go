// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// grant is how a connection gets its next token. There are two: machine (client_credentials)
// gets one whenever it asks, and person (authorization_code) only by the refresh token that it
// has.
type grant interface {
	// renew gets the next token, or takes over one that another node has stored. refused is the
	// token that the API has refused, nil if that is not the reason.
	renew(ctx context.Context, refused *record.Token) error

	// recheck reads the record again if its time has come, and returns the token that is known
	// then.
	recheck(ctx context.Context, now time.Time, token *record.Token) *record.Token

	// renewable reports whether renew can bring anything.
	renewable(token *record.Token) bool

	// finished returns why only a person can bring the next token, or nil.
	finished(token *record.Token) error

	// refusedBy reports whether an error of renew is the provider's refusal of the grant itself.
	refusedBy(err error) bool

	// explain returns what a caller without a valid token is told of an error of renew.
	explain(err error) error
}

// Interface guards
var (
	_ grant = (*machine)(nil)
	_ grant = (*person)(nil)
)
