// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
)

// next is obtain for a grant that has refresh tokens.
func (s *Source) next(ctx context.Context, refused *Token) error {
	began := s.state.token.Load()
	var others watch
	for {
		base, read, err := s.read(ctx)
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
		if !others.over(base.claim, s.state.name(), s.lease, now) {
			if err := sleep(ctx, pollInterval); err != nil {
				return &Error{Err: errors.New("another node renews the token, and has not ended in time")}
			}
			continue
		}
		if !s.store.presence.isAnnounced() { // which may take a while, so the record is read again
			if err := s.store.presence.announce(ctx); err != nil {
				return fmt.Errorf("claiming the refresh token: %w", err)
			}
			continue
		}
		mine, until, err := s.claim(ctx, base, read)
		if err != nil {
			return err
		}
		if mine == nil {
			continue
		}
		if mine, err = s.markSent(ctx, mine); err != nil {
			return err
		}
		if time.Now().After(until) {
			if mine, err = s.outlast(ctx, mine, read); err != nil {
				return err
			}
		}
		if mine != nil {
			if held, err := s.redeemClaimed(ctx, mine, refused); held || err != nil {
				return err
			}
		}
	}
}

// redeemClaimed redeems the refresh token of a generation that was claimed. refused is the one that the API has refused, if that is
// the reason. It returns false if the claim is another node's by now: the wait for the lock was too long.
func (s *Source) redeemClaimed(ctx context.Context, mine, refused *Token) (held bool, err error) {
	unlock := s.lock(ctx, mine.generation)
	defer unlock()
	doubtful := mine.claim.Doubt
	mine, held, err = s.holdsStill(ctx, mine)
	switch {
	case errors.Is(err, errOver):
		return false, err
	case err != nil: // nothing was sent, and others need not think that something was
		return false, s.giveBack(ctx, mine, doubtful, err)
	case !held:
		return false, nil
	case s.method.connections.closed.Load(): // the answer would come when the process has ended
		return false, s.giveBack(ctx, mine, doubtful, &Error{Err: errors.New("the process ends, or has another configuration")})
	}
	// From here on nothing must end what has begun: the next refresh token is in the answer.
	ctx = context.WithoutCancel(ctx)
	c, err := s.redeem(ctx, mine.refresh)
	if err != nil && c.lost {
		// Most providers accept the same refresh token again for a while; with the others it is lost anyway.
		doubtful = true
		held, e := s.holds(ctx, mine)
		if e == nil && !held {
			return false, nil
		}
		if e == nil {
			if mine, e = s.prolong(ctx, mine); e == nil {
				s.logger.Warn("the answer with a new token was lost on its way; asking once more", zap.Error(err))
				c, err = s.redeem(ctx, mine.refresh)
			}
		}
		if errors.Is(e, errOver) {
			return true, err
		}
	}
	if err != nil {
		return true, s.failed(ctx, mine, c, err, doubtful, refused != nil)
	}
	token := s.answered(mine, c)
	if token = s.unlessOvertaken(ctx, mine, token); token == nil {
		return true, s.state.token.Load().finished()
	}
	s.keep(ctx, token)
	if !token.valid(time.Now()) {
		return true, &Error{Err: errors.New("the token has expired already when it came")}
	}
	return true, nil
}

// answered returns the token of the answer to a refresh, which is the next generation of mine.
func (s *Source) answered(mine *Token, c *call) *Token {
	token := newToken(c.got, c.received, s.expiry)
	if token.refresh == "" {
		token.refresh = mine.refresh // RFC 6749 §6
	}
	if token.id == "" {
		if token.id = mine.id; s.method.TokenField == "id_token" { // OpenID Connect Core 1.0 §12.2 allows that
			s.logger.Warn("the answer to a refresh has no id_token, so the one before it is sent until the API refuses it; ask for the scope openid, " +
				"or send the access token")
		}
	}
	token.generation, token.identity, token.grant, token.connected = mine.generation+1, mine.identity, mine.grant, mine.connected
	return token
}

// unlessOvertaken returns the token to store for an answer, or nil if what another node has stored counts. Where this process had the
// answer and slept its claim may have run out, so it looks first; otherwise nothing stands between an answer and its being stored.
func (s *Source) unlessOvertaken(ctx context.Context, mine, token *Token) *Token {
	if time.Since(time.UnixMilli(mine.claim.At)) <= s.lease/2 {
		return token
	}
	stored, err := s.load(ctx)
	switch {
	case err != nil || stored == nil:
		return token
	case stored.generation > mine.generation:
		s.logger.Warn("the answer with a new token came too late; another node has gone on without it", zap.Uint64("generation", stored.generation))
		if _, err := s.latest(ctx); err == nil && stored.end.Reason == ReasonDisconnected {
			_ = s.revoke(ctx, token) // nobody wants it any more
		}
		return nil
	case stored.claim == nil || stored.claim.Owner != mine.claim.Owner:
		// Another node has sent the same refresh token in the meantime, which the provider may hold against this one.
		return token.released(true)
	default:
		return token
	}
}

// failed deals with a refused or failed refresh. Only one error ends a connection, and none loses a token.
func (s *Source) failed(ctx context.Context, mine *Token, c *call, err error, doubtful, refused bool) error {
	if c.got != nil && c.got.errorCode == "" && c.got.refreshToken != "" && !c.lost {
		// The answer is of no use but for the refresh token that has taken the place of the spent one.
		token := mine.released(false).with(func(t *Token) { t.refresh, t.generation = c.got.refreshToken, mine.generation+1 })
		if token = s.unlessOvertaken(ctx, mine, token); token != nil {
			s.keep(ctx, token)
		}
		return err
	}
	e, ok := errors.AsType[*Error](err)
	if c.lost || !ok || e.Code != "invalid_grant" || !e.Rejected() {
		return s.giveBack(ctx, mine, doubtful || c.lost || c.doubt, err)
	}
	_ = sleep(ctx, settleTime) // what another node has got may be on its way to the storage
	if newest, lerr := s.latest(ctx); lerr == nil && newest.generation > mine.generation {
		return newest.finished() // another node has redeemed it
	}
	reason := ReasonRevoked
	if doubtful {
		reason = ReasonLost
	}
	s.keep(ctx, mine.released(false).with(func(t *Token) {
		t.end, t.changed = ending{reason, e.Code}, time.Now()
		if refused { // by the API, so that it is of no use until its expiry either
			t.setExpiry(t.changed, 0)
		}
	}))
	return &AuthorizationError{Reason: reason, Code: e.Code}
}

// giveBack takes the claim out of the record after a failure, unless another node has claimed or written the record since: this process
// may have stood still. It returns err, or nil if there is a newer token.
func (s *Source) giveBack(ctx context.Context, mine *Token, doubtful bool, err error) error {
	stored, e := s.load(ctx)
	held := e == nil && stored != nil && stored.generation == mine.generation && stored.claim != nil &&
		stored.claim.Owner == mine.claim.Owner // of whichever attempt: a mark may have failed, or not
	if held {
		e = s.save(ctx, mine.released(doubtful))
	}
	if e != nil {
		s.logger.Warn("a claim could not be taken back; others respect it for a while", zap.Error(e))
	}
	if e != nil || held {
		return err
	}
	if newest, e := s.latest(ctx); e == nil && newest.generation > mine.generation {
		return newest.finished()
	}
	return err
}

// refusedWords are what providers say of a refresh token that is of no use any more, in the place of invalid_grant: Dex and Gitea the
// first two, GitHub and Slack, with status 200, the next two; the others ask for a human being (OpenID Connect Core 1.0 §3.1.2.6).
var refusedWords = []string{
	"invalid_request", "unauthorized_client", "bad_refresh_token", "invalid_refresh_token",
	"interaction_required", "login_required", "consent_required",
}

// refusedRefresh reports whether a provider has refused a refresh token in other words than those that end a connection.
func refusedRefresh(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status != 0 && e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests &&
		slices.Contains(refusedWords, e.Code)
}

// explain returns what a caller without a valid token is told.
func (s *Source) explain(err error) error {
	if s.redeem != nil && refusedRefresh(err) {
		e, _ := errors.AsType[*Error](err)
		return &AuthorizationError{Reason: ReasonRefused, Code: e.Code}
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
