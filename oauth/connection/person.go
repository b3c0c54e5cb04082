// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// person is a grant that a person has given (authorization_code, RFC 6749 §4.1). Its refresh
// token is the only way to the next token, and may be redeemed once in a whole cluster.
type person Source

func (g *person) records() *replica { return (*replica)(g) }

func (g *person) claims() *claimer { return (*claimer)(g) }

// renew implements grant. docs/reliability.md, "How a token is renewed", tells its steps.
func (g *person) renew(ctx context.Context, refused *record.Token) error {
	began := g.conn.token.Load()
	var others watch
	prepared := false
	for {
		base, read, err := g.records().read(ctx)
		if err != nil {
			return fmt.Errorf("reading the stored connection: %w", err)
		}
		if planted, err := g.plant(ctx, base); planted || err != nil {
			return err
		}
		now := time.Now()
		switch {
		case base.Valid(now) && (began == nil || base.Generation > began.Generation):
			// Another node has renewed it. A token near its end is taken too, so that nobody
			// waits.
			return nil
		case !base.Redeemable():
			if base.Valid(now) && refused == nil {
				return nil
			}
			return base.Finished()
		}
		if !others.expired(base.Claim, g.conn.claimant(), g.set.lease, now) {
			if err := sleep(ctx, pollInterval); err != nil {
				return &provider.Error{Err: errors.New("another node renews the token, and has not ended in time")}
			}
			continue
		}
		if !prepared && g.set.Prepare != nil {
			if err := g.set.Prepare(ctx, base); err != nil {
				return err
			}
			prepared = true
			continue // that may take a while, so the record is read again
		}
		if !g.set.presence.isAnnounced() {
			// Announcing may take a while, too.
			if err := g.set.presence.announce(ctx); err != nil {
				return fmt.Errorf("claiming the refresh token: %w", err)
			}
			continue
		}
		mine, err := g.claims().take(ctx, base, read)
		if err != nil {
			return err
		}
		if mine != nil {
			if held, err := g.redeem(ctx, mine, refused); held || err != nil {
				return err
			}
		}
	}
}

// redeem redeems the refresh token of a generation that this node has claimed. refused is the
// token that the API has refused, if that is the reason. It returns false if another node has
// the claim by now: the wait for the lock was too long.
func (g *person) redeem(ctx context.Context, mine, refused *record.Token) (held bool, err error) {
	unlock := g.claims().lock(ctx, mine.Generation)
	defer unlock()
	doubtful := mine.Claim.Doubt
	mine, held, err = g.claims().holdsStill(ctx, mine)
	switch {
	case errors.Is(err, errLeaseLost):
		return false, err
	case err != nil: // nothing was sent, so the claim leaves no doubt
		return false, g.claims().release(ctx, mine, doubtful, err)
	case !held:
		return false, nil
	case g.set.pool.endsIn(g.set.Timeout): // the answer would come when the process has ended
		return false, g.claims().release(ctx, mine, doubtful, &provider.Error{Err: errors.New("the process ends, or has another configuration")})
	}
	// From here on nothing must end what has begun: the next refresh token is in the answer.
	ctx = context.WithoutCancel(ctx)
	answer, err := g.set.Redeem(ctx, g.conn.secrets, mine)
	if wait, asks := g.asksAgain(mine, answer, err, refused != nil); asks {
		doubtful = doubtful || deliveryOf(err).Uncertain()
		_ = sleep(ctx, wait)
		var again bool
		mine, again, held, err = g.claimAgain(ctx, mine, doubtful, err)
		if !again {
			return held, err
		}
		answer, err = g.set.Redeem(ctx, g.conn.secrets, mine)
	}
	if err != nil {
		return true, g.failed(ctx, mine, answer, err, doubtful, refused != nil)
	}
	return true, g.redeemed(ctx, mine, answer)
}

// claimAgain prolongs the claim of mine, so that the provider can be asked once more. If that
// may not be done (again is false) it returns what redeem returns: err is the provider's first
// answer, and remains the only one.
func (g *person) claimAgain(ctx context.Context, mine *record.Token, doubtful bool, err error) (_ *record.Token, again, held bool, _ error) {
	held, e := g.claims().holds(ctx, mine)
	if e == nil && !held {
		return mine, false, false, nil
	}
	if e == nil {
		if mine, e = g.claims().prolong(ctx, mine); e == nil {
			g.set.Logger.Warn("the provider has refused the refresh token, or its answer was lost on its way; asking once more", zap.Error(err))
			return mine, true, true, nil
		}
	}
	if errors.Is(e, errLeaseLost) {
		return mine, false, true, err
	}
	return mine, false, true, g.claims().release(ctx, mine, doubtful, err)
}

// asksAgain reports whether the provider is asked once more, and how long that waits. Most
// providers accept a refresh token again for a while if their answer to it was lost; with the
// rest it is lost anyway. For refusals see consequences.
func (g *person) asksAgain(mine *record.Token, answer *provider.Answer, err error, refused bool) (wait time.Duration, asks bool) {
	switch {
	case err == nil || answer != nil && answer.RefreshToken != "":
		// The next refresh token is in the answer.
		return 0, false
	case deliveryOf(err) == provider.Lost:
		return 0, true
	case g.follows(mine, err, refused) != askAgain:
		return 0, false
	}
	g.conn.noteRefusal(mine.Generation)
	// What another node has got may be on its way to the storage. The clock may have been set
	// since the end of the access token, so the wait is bounded.
	return min(max(settleTime, time.Until(g.conn.inUse(mine).Expiry.Add(endSettle))), endSettle), true
}

// redeemed stores the answer to a refresh, and puts it to use.
func (g *person) redeemed(ctx context.Context, mine *record.Token, answer *provider.Answer) error {
	token := g.answered(mine, answer)
	if token = g.unlessOvertaken(ctx, mine, token); token == nil {
		return g.conn.token.Load().Finished()
	}
	g.records().saveAndUse(ctx, token)
	switch {
	case token.Valid(time.Now()):
		g.set.happened(EventRefreshed, g.records().store.Connection, "")
		return nil
	case g.records().store.Term.IDToken && answer.IDToken == "":
		return &provider.Error{
			Host: answer.Host, Status: http.StatusOK, Delivery: provider.Answered, Err: provider.ErrNoIDToken,
		}
	default:
		return &provider.Error{Err: errEnded}
	}
}

// answered returns the token of the answer to a refresh: the generation after mine.
func (g *person) answered(mine *record.Token, answer *provider.Answer) *record.Token {
	token := record.New(IssuedBy(answer), g.records().store.Term, mine)
	if g.records().store.Term.IDToken && answer.IDToken == "" {
		g.set.Logger.Warn("the answer to a refresh has no id_token, so the one before it is sent until it ends; ask for the scope openid, " +
			"or send the access token")
	}
	token.Generation, token.Identity, token.Grant = mine.Generation+1, mine.Identity, mine.Grant
	token.Connected, token.By, token.Seed = mine.Connected, mine.By, mine.Seed
	token.Origin = mine.Origin
	if answer.Truncated {
		return token.Released(true) // the next refresh token may have stood behind the break
	}
	return token
}

// unlessOvertaken returns the token to store for an answer, or nil if a token counts that
// another node has stored. If this process was suspended with the answer in its hands, its lease
// may have expired, so it reads the record first. Otherwise the answer is stored without another
// read.
func (g *person) unlessOvertaken(ctx context.Context, mine, token *record.Token) *record.Token {
	if time.Since(time.UnixMilli(mine.Claim.At)) <= g.set.lease/2 {
		return token
	}
	stored, err := g.records().load(ctx)
	switch {
	case err != nil || stored == nil:
		return token
	case stored.Generation > mine.Generation:
		g.set.Logger.Warn("the answer with a new token came too late; another node has gone on without it", zap.Uint64("generation", stored.Generation))
		if _, err := g.records().latest(ctx); err == nil && stored.End.Reason == record.ReasonDisconnected {
			_ = g.set.Revoke(ctx, token) // nobody wants it any more
		}
		return nil
	case stored.Claim == nil || stored.Claim.Owner != mine.Claim.Owner:
		// Another node has sent the same refresh token meanwhile, and the provider may hold that
		// against the token of this answer.
		return token.Released(true)
	default:
		return token
	}
}

// deliveryOf returns what became of a request to the provider that has failed.
func deliveryOf(err error) provider.Delivery {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Delivery
	}
	return provider.NotSent
}

// recheck implements grant.
func (g *person) recheck(ctx context.Context, now time.Time, token *record.Token) *record.Token {
	return g.records().recheck(ctx, now, token)
}

// renewable implements grant.
func (*person) renewable(token *record.Token) bool { return token.Redeemable() }

// finished implements grant. Where nothing is stored, the operator's refresh token can bring a
// token.
func (g *person) finished(token *record.Token) error {
	if g.sowable(token) {
		return nil
	}
	return token.Finished()
}

// refusedBy implements grant.
func (*person) refusedBy(err error) bool { return judge(err).refusal() }

// explain implements grant.
func (*person) explain(err error) error {
	if judge(err).refusal() {
		e, _ := errors.AsType[*provider.Error](err)
		return &record.AuthorizationError{Reason: record.ReasonRefused, Code: e.Code, Description: e.Description}
	}
	return err
}
