// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	weakrand "math/rand/v2"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
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
				return &provider.Error{Err: errors.New("another node renews the token, and has not ended in time")}
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
	case s.method.connections.endsIn(time.Duration(s.method.Timeout)): // the answer would come when the process has ended
		return false, s.giveBack(ctx, mine, doubtful, &provider.Error{Err: errors.New("the process ends, or has another configuration")})
	}
	// From here on nothing must end what has begun: the next refresh token is in the answer.
	ctx = context.WithoutCancel(ctx)
	a, err := s.redeem(ctx, mine.refresh)
	if wait, asks := s.asksAgain(mine, a, err, refused != nil); asks {
		doubtful = doubtful || deliveryOf(err).Uncertain()
		_ = sleep(ctx, wait)
		held, e := s.holds(ctx, mine)
		if e == nil && !held {
			return false, nil
		}
		if e == nil {
			if mine, e = s.prolong(ctx, mine); e == nil {
				s.logger.Warn("the provider has refused the refresh token, or its answer was lost on its way; asking once more", zap.Error(err))
				a, err = s.redeem(ctx, mine.refresh)
			}
		}
		switch {
		case errors.Is(e, errOver):
			return true, err
		case e != nil: // one refusal is all that there is
			return true, s.giveBack(ctx, mine, doubtful, err)
		}
	}
	if err != nil {
		return true, s.failed(ctx, mine, a, err, doubtful, refused != nil)
	}
	return true, s.redeemed(ctx, mine, a)
}

// deliveryOf returns what became of a request to the provider that has failed.
func deliveryOf(err error) provider.Delivery {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Delivery
	}
	return provider.NotSent
}

// asksAgain reports whether the provider is asked once more for what the first answer did not bring, and
// how long that waits. Most providers accept a refresh token again for a while whose answer was lost; with
// the other ones it is lost anyway. For refusals see consequences.
func (s *Source) asksAgain(mine *Token, a *provider.Answer, err error, refused bool) (wait time.Duration, asks bool) {
	switch {
	case err == nil || a != nil && a.RefreshToken != "": // another refresh token has taken the place of that one
		return 0, false
	case deliveryOf(err) == provider.Lost:
		return 0, true
	case s.follows(mine, err, refused) != askAgain:
		return 0, false
	}
	s.state.noteRefusal(mine.generation)
	// What another node has got may be on its way to the storage. By a clock that was set since the end may be far away.
	return min(max(settleTime, time.Until(s.state.inUse(mine).expiry.Add(endSettle))), endSettle), true
}

// redeemed stores the answer to a refresh, and has it used.
func (s *Source) redeemed(ctx context.Context, mine *Token, a *provider.Answer) error {
	token := s.answered(mine, a)
	if token = s.unlessOvertaken(ctx, mine, token); token == nil {
		return s.state.token.Load().finished()
	}
	s.keep(ctx, token)
	switch {
	case token.valid(time.Now()):
		return nil
	case s.store.term.idToken && a.IDToken == "":
		return &provider.Error{
			Host: a.Host, Status: http.StatusOK, Delivery: provider.Answered, Err: provider.ErrNoIDToken,
		}
	default:
		return &provider.Error{Err: errEnded}
	}
}

// answered returns the token of the answer to a refresh, which is the next generation of mine.
func (s *Source) answered(mine *Token, a *provider.Answer) *Token {
	token := newToken(a, a.Received, s.store.term, mine)
	if s.store.term.idToken && a.IDToken == "" {
		s.logger.Warn("the answer to a refresh has no id_token, so the one before it is sent until it ends; ask for the scope openid, " +
			"or send the access token")
	}
	token.generation, token.identity, token.grant, token.connected = mine.generation+1, mine.identity, mine.grant, mine.connected
	if a.Truncated {
		return token.released(true) // the next refresh token may have stood behind the break
	}
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

// failed deals with a refused or failed refresh. Only a success ever replaces a token.
func (s *Source) failed(ctx context.Context, mine *Token, a *provider.Answer, err error, doubtful, refused bool) error {
	if a != nil && a.RefreshToken != "" {
		// The answer is of no use but for the refresh token that has taken the place of the spent one.
		token := mine.released(false).with(func(t *Token) {
			t.refresh, t.generation, t.refused, t.refreshEnd = a.RefreshToken, mine.generation+1, nil, time.Time{}
			if a.RefreshLifetime > 0 {
				t.refreshEnd = a.Received.Add(a.RefreshLifetime)
			}
		})
		if token = s.unlessOvertaken(ctx, mine, token); token != nil {
			s.keep(ctx, token) // and nobody has refused that one
		}
		return err
	}
	follows := s.follows(mine, err, refused)
	if follows != tryLater {
		mine = mine.with(func(t *Token) { t.refused = &refusal{time.Now().UnixMilli(), words(err), describedBy(err)} })
	}
	if follows == waitForEnd {
		s.askAtEnd(mine) //nolint:contextcheck // it belongs to no request
	}
	if follows == waitForEnd || follows == tryLater {
		return s.giveBack(ctx, mine, doubtful || deliveryOf(err).Uncertain(), err)
	}
	_ = sleep(ctx, settleTime) // what another node has got may be on its way to the storage
	if newest, lerr := s.latest(ctx); lerr == nil && newest.generation > mine.generation {
		return newest.finished() // another node has redeemed it
	}
	if follows != endGrant {
		return s.tell(ctx, mine, err, doubtful)
	}
	e, _ := errors.AsType[*provider.Error](err)
	reason := ReasonRevoked
	if doubtful {
		reason = ReasonLost
	}
	s.keep(ctx, mine.released(false).with(func(t *Token) {
		t.end, t.changed = ending{reason, e.Code, e.Description}, time.Now()
		if t.valid(t.changed) { // the API has refused it, and its end is not known
			t.expire(t.changed)
		}
	}))
	return &AuthorizationError{Reason: reason, Code: e.Code, Description: e.Description}
}

// tell has callers told, until an attempt succeeds, that the provider refuses the refresh token of mine.
func (s *Source) tell(ctx context.Context, mine *Token, err error, doubtful bool) error {
	s.state.noteRefusal(mine.generation)
	err = s.giveBack(ctx, mine, doubtful, err)
	if token := s.state.token.Load(); err != nil && token != nil && token.generation == mine.generation && token.valid(time.Now()) {
		// The API has refused it, and its end is not known.
		s.state.token.CompareAndSwap(token, token.with(func(t *Token) { t.expire(time.Now()) }))
	}
	return err
}

// endJitter is by how much nodes ask at different times when an access token has ended.
const endJitter = 5 * time.Second

// askAtEnd has the provider asked again when the access token of a generation has ended, whose refresh token it
// has refused early. So a grant that has truly ended is noticed although nobody uses the connection.
func (s *Source) askAtEnd(token *Token) {
	st := s.state
	if token = st.inUse(token); token.expiry.IsZero() {
		return
	}
	st.mu.Lock()
	running := st.atEnd == token.generation
	st.atEnd = token.generation
	st.mu.Unlock()
	if running {
		return
	}
	s.askIn(time.Until(token.expiry), token.generation, endAgain)
}

// endAgain is when it is tried again to ask about an access token that has ended, where that brings no answer; it doubles.
const endAgain = time.Minute

// askIn has askEnded called after a time, by whatever configuration runs then.
func (s *Source) askIn(wait time.Duration, generation uint64, again time.Duration) {
	jitter := time.Duration(weakrand.Int64N(int64(endJitter))) //nolint:gosec // G404: a jitter is no secret
	time.AfterFunc(wait+jitter, func() {
		if m := s.method.connections.successor(s.method); m != nil {
			m.Source(s.store.connection).askEnded(generation, again)
		}
	})
}

// askEnded renews the token of a generation if that has ended, and there is no newer one, until the provider has said
// something of it.
func (s *Source) askEnded(generation uint64, again time.Duration) {
	over, wait := s.askOnce(generation, again)
	if !over {
		s.askIn(wait, generation, min(2*again, forcedLongest))
		return
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.atEnd == generation {
		s.state.atEnd = 0
	}
}

// askOnce is askEnded that does not come again. It reports whether that is over, or else when to come again.
func (s *Source) askOnce(generation uint64, again time.Duration) (over bool, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	base, err := s.latest(ctx)
	if err != nil {
		return false, again
	}
	now := time.Now()
	switch token := s.state.inUse(base); {
	case base.generation != generation || !base.redeemable():
		return true, 0
	case token.valid(now):
		return false, time.Until(token.expiry) // the clock was set
	}
	if f, _ := s.renew(now, nil); f != nil { //nolint:contextcheck // what fails is logged there
		<-f.done
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	token := s.state.token.Load()
	refused := s.state.refused == generation && judge(s.state.err).refusal()
	return refused || token == nil || token.generation != generation || !token.redeemable(), again
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

// explain returns what a caller without a valid token is told.
func (s *Source) explain(err error) error {
	if s.redeem != nil && judge(err).refusal() {
		e, _ := errors.AsType[*provider.Error](err)
		return &AuthorizationError{Reason: ReasonRefused, Code: e.Code, Description: e.Description}
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
