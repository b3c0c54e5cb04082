// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// failed deals with a refresh that was refused or has failed. Only a success ever replaces a
// token.
func (g *person) failed(ctx context.Context, mine *record.Token, answer *provider.Answer, err error, doubtful, refused bool) error {
	if answer != nil && answer.RefreshToken != "" {
		g.saveRefreshToken(ctx, mine, answer)
		return err
	}
	follows := g.follows(mine, err, refused)
	if follows != tryLater {
		mine = mine.With(func(t *record.Token) {
			t.Refused = &record.Refusal{
				At: time.Now().UnixMilli(), Code: words(err), Description: describedBy(err),
			}
		})
	}
	if follows == waitForEnd {
		g.records().askAtEnd(mine) //nolint:contextcheck // it belongs to no request
	}
	if follows == waitForEnd || follows == tryLater {
		return g.claims().release(ctx, mine, doubtful || deliveryOf(err).Uncertain(), err)
	}
	_ = sleep(ctx, settleTime) // what another node has got may be on its way to the storage
	if newest, e := g.records().latest(ctx); e == nil && newest.Generation > mine.Generation {
		return newest.Finished() // another node has redeemed it
	}
	if follows != endGrant {
		return g.tell(ctx, mine, err, doubtful)
	}
	return g.end(ctx, mine, err, doubtful)
}

// saveRefreshToken stores the refresh token of an answer of which nothing else can be used: it
// has taken the place of the spent one.
func (g *person) saveRefreshToken(ctx context.Context, mine *record.Token, answer *provider.Answer) {
	token := mine.Released(false).With(func(t *record.Token) {
		t.Refresh, t.Generation, t.Refused, t.RefreshEnd = answer.RefreshToken, mine.Generation+1, nil, time.Time{}
		if answer.RefreshLifetime > 0 {
			t.RefreshEnd = answer.Received.Add(answer.RefreshLifetime)
		}
	})
	if token = g.unlessOvertaken(ctx, mine, token); token != nil {
		g.records().saveAndUse(ctx, token)
	}
}

// tell has callers told that the provider refuses the refresh token of mine, until an attempt
// succeeds.
func (g *person) tell(ctx context.Context, mine *record.Token, err error, doubtful bool) error {
	g.conn.noteRefusal(mine.Generation)
	err = g.claims().release(ctx, mine, doubtful, err)
	if token := g.conn.token.Load(); err != nil && token != nil && token.Generation == mine.Generation && token.Valid(time.Now()) {
		// The API has refused the access token, and its end is not known.
		g.conn.token.CompareAndSwap(token, token.With(func(t *record.Token) { t.Expire(time.Now()) }))
	}
	return err
}

// end ends the connection: the provider has said twice that the refresh token is no good. Where
// it may have been spent under an earlier claim, the answer to that was lost.
func (g *person) end(ctx context.Context, mine *record.Token, err error, doubtful bool) error {
	e, _ := errors.AsType[*provider.Error](err)
	reason := record.ReasonRevoked
	if doubtful {
		reason = record.ReasonLost
	}
	g.records().saveAndUse(ctx, mine.Released(false).With(func(t *record.Token) {
		t.End, t.Changed = record.End{Reason: reason, Code: e.Code, Description: e.Description}, time.Now()
		if t.Valid(t.Changed) { // the API has refused the access token, and its end is not known
			t.Expire(t.Changed)
		}
	}))
	return &record.AuthorizationError{Reason: reason, Code: e.Code, Description: e.Description}
}

// follows returns what follows from a failed refresh of mine. refused says that the API has
// refused the access token. Such a refusal may be of one path only, so it ends nothing, unless
// the access token's end is not known: then there is no other sign of it.
func (g *person) follows(mine *record.Token, err error, refused bool) consequence {
	token := g.conn.inUse(mine)
	valid := token.Valid(time.Now()) && (!refused || !token.Expiry.IsZero())
	return judge(err).follows(valid, g.conn.refusedBefore(mine.Generation))
}
