// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// failed deals with a refresh that was refused or has failed. Only a success ever replaces a token.
func (g *person) failed(ctx context.Context, mine *Token, answer *provider.Answer, err error, doubtful, refused bool) error {
	if answer != nil && answer.RefreshToken != "" {
		g.saveRefreshToken(ctx, mine, answer)
		return err
	}
	follows := g.follows(mine, err, refused)
	if follows != tryLater {
		mine = mine.with(func(t *Token) { t.refused = &refusal{time.Now().UnixMilli(), words(err), describedBy(err)} })
	}
	if follows == waitForEnd {
		g.records.askAtEnd(mine) //nolint:contextcheck // it belongs to no request
	}
	if follows == waitForEnd || follows == tryLater {
		return g.claims.release(ctx, mine, doubtful || deliveryOf(err).Uncertain(), err)
	}
	_ = sleep(ctx, settleTime) // what another node has got may be on its way to the storage
	if newest, e := g.records.latest(ctx); e == nil && newest.generation > mine.generation {
		return newest.finished() // another node has redeemed it
	}
	if follows != endGrant {
		return g.tell(ctx, mine, err, doubtful)
	}
	return g.end(ctx, mine, err, doubtful)
}

// saveRefreshToken stores the refresh token of an answer of which nothing else can be used: it has taken
// the place of the spent one.
func (g *person) saveRefreshToken(ctx context.Context, mine *Token, answer *provider.Answer) {
	token := mine.released(false).with(func(t *Token) {
		t.refresh, t.generation, t.refused, t.refreshEnd = answer.RefreshToken, mine.generation+1, nil, time.Time{}
		if answer.RefreshLifetime > 0 {
			t.refreshEnd = answer.Received.Add(answer.RefreshLifetime)
		}
	})
	if token = g.unlessOvertaken(ctx, mine, token); token != nil {
		g.records.saveAndUse(ctx, token)
	}
}

// tell has callers told that the provider refuses the refresh token of mine, until an attempt succeeds.
func (g *person) tell(ctx context.Context, mine *Token, err error, doubtful bool) error {
	g.conn.noteRefusal(mine.generation)
	err = g.claims.release(ctx, mine, doubtful, err)
	if token := g.conn.token.Load(); err != nil && token != nil && token.generation == mine.generation && token.valid(time.Now()) {
		// The API has refused the access token, and its end is not known.
		g.conn.token.CompareAndSwap(token, token.with(func(t *Token) { t.expire(time.Now()) }))
	}
	return err
}

// end ends the connection: the provider has said twice that the refresh token is no good. Where it may
// have been spent under an earlier claim, the answer to that was lost.
func (g *person) end(ctx context.Context, mine *Token, err error, doubtful bool) error {
	e, _ := errors.AsType[*provider.Error](err)
	reason := ReasonRevoked
	if doubtful {
		reason = ReasonLost
	}
	g.records.saveAndUse(ctx, mine.released(false).with(func(t *Token) {
		t.end, t.changed = ending{reason, e.Code, e.Description}, time.Now()
		if t.valid(t.changed) { // the API has refused the access token, and its end is not known
			t.expire(t.changed)
		}
	}))
	return &AuthorizationError{Reason: reason, Code: e.Code, Description: e.Description}
}

// follows returns what follows from a failed refresh of mine. refused says that the API has refused the
// access token. Such a refusal may be of one path only, so it ends nothing, unless the access token's end
// is not known: then there is no other sign of it.
func (g *person) follows(mine *Token, err error, refused bool) consequence {
	token := g.conn.inUse(mine)
	valid := token.valid(time.Now()) && (!refused || !token.expiry.IsZero())
	return judge(err).follows(valid, g.conn.refusedBefore(mine.generation))
}
