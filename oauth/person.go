// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// person is a grant that a person has given: its refresh token is the only way to the next token.
type person struct {
	conn    *Connection
	set     *Set
	records *replica
	claims  *claimer
}

// next is renewToken for a grant that has refresh tokens.
func (g *person) next(ctx context.Context, refused *Token) error {
	began := g.conn.token.Load()
	var others watch
	for {
		base, read, err := g.records.read(ctx)
		if err != nil {
			return fmt.Errorf("reading the stored connection: %w", err)
		}
		now := time.Now()
		switch {
		case base.valid(now) && (began == nil || base.generation > began.generation):
			return nil // near its end too nobody must wait for the provider: the next request renews it in the background
		case !base.redeemable():
			if base.valid(now) && refused == nil {
				return nil
			}
			return base.finished()
		}
		if !others.expired(base.claim, g.conn.name(), g.set.lease, now) {
			if err := sleep(ctx, pollInterval); err != nil {
				return &Error{Err: errors.New("another node renews the token, and has not ended in time")}
			}
			continue
		}
		if !g.records.store.presence.isAnnounced() { // which may take a while, so the record is read again
			if err := g.records.store.presence.announce(ctx); err != nil {
				return fmt.Errorf("claiming the refresh token: %w", err)
			}
			continue
		}
		mine, until, err := g.claims.claim(ctx, base, read)
		if err != nil {
			return err
		}
		if mine == nil {
			continue
		}
		if mine, err = g.claims.markSent(ctx, mine); err != nil {
			return err
		}
		if time.Now().After(until) {
			if mine, err = g.claims.waitOutRivals(ctx, mine, read); err != nil {
				return err
			}
		}
		if mine != nil {
			if held, err := g.redeemClaimed(ctx, mine, refused); held || err != nil {
				return err
			}
		}
	}
}

// redeemClaimed redeems the refresh token of a generation that was claimed. refused is the one that the API has refused, if that is
// the reason. It returns false if the claim is another node's by now: the wait for the lock was too long.
func (g *person) redeemClaimed(ctx context.Context, mine, refused *Token) (held bool, err error) {
	unlock := g.claims.lock(ctx, mine.generation)
	defer unlock()
	doubtful := mine.claim.Doubt
	mine, held, err = g.claims.holdsStill(ctx, mine)
	switch {
	case errors.Is(err, errLeaseLost):
		return false, err
	case err != nil: // nothing was sent, and others need not think that something was
		return false, g.releaseClaim(ctx, mine, doubtful, err)
	case !held:
		return false, nil
	case g.set.pool.endsIn(time.Duration(g.set.Timeout)): // the answer would come when the process has ended
		return false, g.releaseClaim(ctx, mine, doubtful, &Error{Err: errors.New("the process ends, or has another configuration")})
	}
	// From here on nothing must end what has begun: the next refresh token is in the answer.
	ctx = context.WithoutCancel(ctx)
	c, err := g.set.Redeem(ctx, mine.refresh)
	if wait, asks := g.asksAgain(mine, c, err, refused != nil); asks {
		doubtful = doubtful || c.lost
		_ = sleep(ctx, wait)
		held, e := g.claims.holds(ctx, mine)
		if e == nil && !held {
			return false, nil
		}
		if e == nil {
			if mine, e = g.claims.prolong(ctx, mine); e == nil {
				g.set.Logger.Warn("the provider has refused the refresh token, or its answer was lost on its way; asking once more", zap.Error(err))
				c, err = g.set.Redeem(ctx, mine.refresh)
			}
		}
		switch {
		case errors.Is(e, errLeaseLost):
			return true, err
		case e != nil: // one refusal is all that there is
			return true, g.releaseClaim(ctx, mine, doubtful || c.doubt, err)
		}
	}
	if err != nil {
		return true, g.failed(ctx, mine, c, err, doubtful, refused != nil)
	}
	return true, g.redeemed(ctx, mine, c)
}

// asksAgain reports whether the provider is asked once more for what the first answer did not bring, and
// how long that waits. Most providers accept a refresh token again for a while whose answer was lost; with
// the other ones it is lost anyway. For refusals see consequences.
func (g *person) asksAgain(mine *Token, c *call, err error, refused bool) (wait time.Duration, asks bool) {
	switch {
	case err == nil || c.got != nil && c.got.refreshToken != "": // another refresh token has taken the place of that one
		return 0, false
	case c.lost:
		return 0, true
	case g.follows(mine, err, refused) != askAgain:
		return 0, false
	}
	g.conn.noteRefusal(mine.generation)
	// What another node has got may be on its way to the storage. By a clock that was set since the end may be far away.
	return min(max(settleTime, time.Until(g.conn.inUse(mine).expiry.Add(endSettle))), endSettle), true
}

// redeemed stores the answer to a refresh, and has it used.
func (g *person) redeemed(ctx context.Context, mine *Token, c *call) error {
	token := g.answered(mine, c)
	if token = g.unlessOvertaken(ctx, mine, token); token == nil {
		return g.conn.token.Load().finished()
	}
	g.records.saveAndUse(ctx, token)
	switch {
	case token.valid(time.Now()):
		return nil
	case g.records.store.term.idToken && c.got.idToken == "":
		return &Error{Host: c.host, Status: http.StatusOK, Err: errNoIDToken}
	default:
		return &Error{Err: errEnded}
	}
}

// answered returns the token of the answer to a refresh, which is the next generation of mine.
func (g *person) answered(mine *Token, c *call) *Token {
	token := newToken(c.got, c.received, g.records.store.term, mine)
	if g.records.store.term.idToken && c.got.idToken == "" {
		g.set.Logger.Warn("the answer to a refresh has no id_token, so the one before it is sent until it ends; ask for the scope openid, " +
			"or send the access token")
	}
	token.generation, token.identity, token.grant, token.connected = mine.generation+1, mine.identity, mine.grant, mine.connected
	if c.got.cut {
		return token.released(true) // the next refresh token may have stood behind the break
	}
	return token
}

// unlessOvertaken returns the token to store for an answer, or nil if what another node has stored counts. Where this process had the
// answer and slept its claim may have run out, so it looks first; otherwise nothing stands between an answer and its being stored.
func (g *person) unlessOvertaken(ctx context.Context, mine, token *Token) *Token {
	if time.Since(time.UnixMilli(mine.claim.At)) <= g.set.lease/2 {
		return token
	}
	stored, err := g.records.load(ctx)
	switch {
	case err != nil || stored == nil:
		return token
	case stored.generation > mine.generation:
		g.set.Logger.Warn("the answer with a new token came too late; another node has gone on without it", zap.Uint64("generation", stored.generation))
		if _, err := g.records.latest(ctx); err == nil && stored.end.Reason == ReasonDisconnected {
			_ = g.set.Revoke(ctx, token) // nobody wants it any more
		}
		return nil
	case stored.claim == nil || stored.claim.Owner != mine.claim.Owner:
		// Another node has sent the same refresh token in the meantime, which the provider may hold against this one.
		return token.released(true)
	default:
		return token
	}
}

// failed deals with a refused or failed refresh. Only a success ever replaces a token.
func (g *person) failed(ctx context.Context, mine *Token, c *call, err error, doubtful, refused bool) error {
	if c.got != nil && c.got.refreshToken != "" {
		// The answer is of no use but for the refresh token that has taken the place of the spent one.
		token := mine.released(false).with(func(t *Token) {
			t.refresh, t.generation, t.refused, t.refreshEnd = c.got.refreshToken, mine.generation+1, nil, time.Time{}
			if c.got.refreshLife > 0 {
				t.refreshEnd = c.received.Add(c.got.refreshLife)
			}
		})
		if token = g.unlessOvertaken(ctx, mine, token); token != nil {
			g.records.saveAndUse(ctx, token) // and nobody has refused that one
		}
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
		return g.releaseClaim(ctx, mine, doubtful || c.lost || c.doubt, err)
	}
	_ = sleep(ctx, settleTime) // what another node has got may be on its way to the storage
	if newest, lerr := g.records.latest(ctx); lerr == nil && newest.generation > mine.generation {
		return newest.finished() // another node has redeemed it
	}
	if follows != endGrant {
		return g.tell(ctx, mine, err, doubtful)
	}
	e, _ := errors.AsType[*Error](err)
	reason := ReasonRevoked
	if doubtful {
		reason = ReasonLost
	}
	g.records.saveAndUse(ctx, mine.released(false).with(func(t *Token) {
		t.end, t.changed = ending{reason, e.Code, e.Description}, time.Now()
		if t.valid(t.changed) { // the API has refused it, and its end is not known
			t.expire(t.changed)
		}
	}))
	return &AuthorizationError{Reason: reason, Code: e.Code, Description: e.Description}
}

// tell has callers told, until an attempt succeeds, that the provider refuses the refresh token of mine.
func (g *person) tell(ctx context.Context, mine *Token, err error, doubtful bool) error {
	g.conn.noteRefusal(mine.generation)
	err = g.releaseClaim(ctx, mine, doubtful, err)
	if token := g.conn.token.Load(); err != nil && token != nil && token.generation == mine.generation && token.valid(time.Now()) {
		// The API has refused it, and its end is not known.
		g.conn.token.CompareAndSwap(token, token.with(func(t *Token) { t.expire(time.Now()) }))
	}
	return err
}

// releaseClaim takes the claim out of the record after a failure, unless another node has claimed or written the record since: this process
// may have stood still. It returns err, or nil if there is a newer token.
func (g *person) releaseClaim(ctx context.Context, mine *Token, doubtful bool, err error) error {
	stored, e := g.records.load(ctx)
	held := e == nil && stored != nil && stored.generation == mine.generation && stored.claim != nil &&
		stored.claim.Owner == mine.claim.Owner // of whichever attempt: a mark may have failed, or not
	if held {
		e = g.records.save(ctx, mine.released(doubtful))
	}
	if e != nil {
		g.set.Logger.Warn("a claim could not be taken back; others respect it for a while", zap.Error(e))
	}
	if e != nil || held {
		return err
	}
	if newest, e := g.records.latest(ctx); e == nil && newest.generation > mine.generation {
		return newest.finished()
	}
	return err
}
