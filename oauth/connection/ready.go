// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// ready is a token with the credential that is made of it, and its Soft: among a million tokens
// each look into one is slow, and so is one behind a pointer to all three. Whoever sets it holds
// the connection's mu; whoever reads it holds nothing.
type ready struct {
	token      atomic.Pointer[record.Token]
	credential atomic.Pointer[auth.Credential]
	soft       atomic.Int64 // a moment
}

// set sets all three. Who reads meanwhile sees that the token is another one before or after.
func (r *ready) set(token *record.Token, c *auth.Credential) {
	r.token.Store(nil)
	r.credential.Store(c)
	r.soft.Store(int64(momentOf(token.Soft)))
	r.token.Store(token)
}

// clear forgets all three.
func (r *ready) clear() {
	r.token.Store(nil)
	r.credential.Store(nil)
}

// of returns the credential of a token and when the token needs a renewal, or nil if they are not
// there.
func (r *ready) of(token *record.Token) (*auth.Credential, moment) {
	if token == nil || r.token.Load() != token {
		return nil, 0
	}
	c, soft := r.credential.Load(), r.soft.Load()
	if r.token.Load() != token {
		return nil, 0
	}
	return c, moment(soft)
}

// fresh returns the credential of a token, or nil if it is not there or the token needs a renewal.
func (r *ready) fresh(token *record.Token, now time.Time) *auth.Credential {
	c, soft := r.of(token)
	if soft != 0 && !soft.after(now) {
		return nil
	}
	return c
}

// again returns the credential that is there if that of a token would be the same: requests carry
// nothing of what has changed. Otherwise it returns nil.
func (r *ready) again(token *record.Token) *auth.Credential {
	last := r.token.Load()
	if last == nil || last.Access != token.Access || last.ID != token.ID || !maps.Equal(last.Also, token.Also) {
		return nil
	}
	return r.credential.Load()
}
