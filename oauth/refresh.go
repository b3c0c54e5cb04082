// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// A refresh token can be redeemed once where a provider rotates them, and a provider that sees one twice may withdraw the whole
// grant (RFC 9700 §4.14.2). Storages give no lock that can be trusted: some lock nothing, others lose a lock or never give it
// back. So who redeems writes a claim into the record first, waits until every node can see it, and reads it again; the
// last claim that was written wins. Whoever sees another's claim waits for the next generation instead, for as long as the
// owner may live. The lock of the storage is taken too, and believed in no way.
const (
	// settleTime is how long a claim must stand before it counts. A node that has not seen it yet, since it reads what is a
	// little stale, may still write its own, and that must be seen here, as late again: it is twice what a read may lag
	// behind, 200 ms, and lateAfter.
	settleTime = 700 * time.Millisecond

	// lateAfter is how old the reading may be on which a claim rests, when it is written. A later one may have been written over
	// another's that was seen to stand.
	lateAfter = 300 * time.Millisecond

	// pollInterval is how often a record is read while another node renews it.
	pollInterval = 200 * time.Millisecond

	// leaseClaimed is how long a claim is respected whose owner has surely not redeemed anything.
	leaseClaimed = 3 * time.Second

	// lockPatience bounds the wait for the storage's lock.
	lockPatience = 5 * time.Second

	// leaseSlack is what a claim is respected longer than the wait for the lock and the token request may take.
	leaseSlack = 2 * time.Second

	// clockSkew is how far apart the clocks of nodes may be.
	clockSkew = time.Minute
)

// next is obtain for a grant that has refresh tokens.
func (s *Source) next(ctx context.Context, refused *Token) error {
	began := s.state.token.Load()
	var others watch
	for {
		read := time.Now()
		base, err := s.latest(ctx)
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
			if mine, err = s.outlast(ctx, mine); err != nil {
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

// watch is what has been seen of the claims of others. Clocks of other nodes may be wrong, so it is by the own clock that a
// claim grows old.
type watch struct {
	claim claim
	since time.Time
}

// over reports whether a claim need not be respected: it is none, the own one, or one whose owner must have died.
func (w *watch) over(c *claim, self string, lease time.Duration, now time.Time) bool {
	if c == nil || c.Owner == self || c.Over {
		return true
	}
	if *c != w.claim {
		w.claim, w.since = *c, now
	}
	if !c.Sent {
		lease = leaseClaimed
	}
	return now.Sub(w.since) >= lease || now.Sub(time.UnixMilli(c.At)) > lease+clockSkew
}

// claim claims the generation of base, which was read at a time. It returns the token as it is stored then, or nil if another
// node has won, and until when nobody else takes the claim for one of the dead.
//
// It also proves that the storage can be written before the refresh token is spent.
func (s *Source) claim(ctx context.Context, base *Token, read time.Time) (mine *Token, until time.Time, err error) {
	now := time.Now()
	until = now.Add(leaseClaimed)
	attempt := 1
	if base.claim != nil {
		attempt += base.claim.Attempt
	}
	mine = base.with(func(t *Token) {
		t.claim = &claim{Owner: s.state.name(), Attempt: attempt, Doubt: base.claim.doubtful(), At: now.UnixMilli()}
	})
	late := s.state.late.Swap(false)
	if err := s.saveClaim(ctx, mine); err != nil {
		return nil, until, err
	}
	if late || time.Since(read) > lateAfter {
		until = now
	}
	if err := sleep(ctx, settleTime); err != nil {
		return nil, until, err
	}
	if held, err := s.holds(ctx, mine); !held || err != nil {
		return nil, until, err
	}
	return mine, until, nil
}

// outlast waits until whoever may have redeemed the refresh token in the meantime has stored the next one, or has died: the
// storage is so slow, or this process stood still for so long, that the claim may have been written over another's. It returns nil
// if that was so.
func (s *Source) outlast(ctx context.Context, mine *Token) (*Token, error) {
	wait := max(s.lease, lookBy+2*time.Second) // by then others have also seen, and mended, if a newer record was overwritten
	s.logger.Warn("the storage is slow; waiting in case another node renews the token, too", zap.Duration("wait", wait))
	for range 2 { // the second mark is for those who have seen the first one, so that they go on waiting
		if err := sleep(ctx, wait/2); err != nil {
			return nil, err
		}
		if held, err := s.holds(ctx, mine); !held || err != nil {
			return nil, err
		}
		var err error
		if mine, err = s.markAgain(ctx, mine); err != nil {
			return nil, err
		}
	}
	return mine, nil
}

// markSent writes that the refresh token of a claim is about to be sent.
func (s *Source) markSent(ctx context.Context, mine *Token) (*Token, error) {
	sent := mine.with(func(t *Token) {
		c := *mine.claim
		c.Sent, c.At = true, time.Now().UnixMilli()
		t.claim = &c
	})
	if err := s.saveClaim(ctx, sent); err != nil {
		return nil, err
	}
	return sent, nil
}

func (s *Source) saveClaim(ctx context.Context, mine *Token) error {
	begin := time.Now()
	err := s.save(ctx, mine)
	if err == nil {
		return nil
	}
	if time.Since(begin) > lateAfter {
		s.state.late.Store(true)
	}
	return fmt.Errorf("claiming the refresh token: %w", err)
}

// holds reports whether the record is still as mine has claimed it.
func (s *Source) holds(ctx context.Context, mine *Token) (bool, error) {
	stored, err := s.load(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the claim again: %w", err)
	}
	return stored != nil && stored.generation == mine.generation && stored.claim != nil &&
		stored.claim.Owner == mine.claim.Owner && stored.claim.Attempt == mine.claim.Attempt, nil
}

// redeemClaimed redeems the refresh token of a generation that was claimed. refused is the one that the API has refused, if that is
// the reason. It returns false if the claim is another node's by now: the wait for the lock was too long.
func (s *Source) redeemClaimed(ctx context.Context, mine, refused *Token) (held bool, err error) {
	unlock := s.lock(ctx, mine.generation)
	defer unlock()
	if held, err := s.holds(ctx, mine); !held || err != nil {
		return false, err
	}
	// From here on nothing must end what has begun: the next refresh token is in the answer.
	ctx = context.WithoutCancel(ctx)
	doubtful := mine.claim.Doubt
	c, err := s.redeem(ctx, mine.refresh)
	if err != nil && c.lost {
		// Most providers accept the same refresh token again for a while; with the others it is lost anyway.
		doubtful = true
		s.logger.Warn("the answer with a new token was lost on its way; asking once more", zap.Error(err))
		if held, e := s.holds(ctx, mine); e == nil && !held {
			return false, nil
		}
		if again, e := s.markAgain(ctx, mine); e == nil {
			mine = again
		}
		c, err = s.redeem(ctx, mine.refresh)
	}
	if err != nil {
		return true, s.failed(ctx, mine, c, err, doubtful, refused != nil)
	}
	token := newToken(c.got, c.received, s.expiry)
	if token.refresh == "" {
		token.refresh = mine.refresh // RFC 6749 §6
	}
	if token.id == "" {
		token.id = mine.id
	}
	token.generation, token.identity, token.connected = mine.generation+1, mine.identity, mine.connected
	if time.Since(time.UnixMilli(mine.claim.At)) > s.lease/2 {
		if token = s.afterPause(ctx, mine, token); token == nil {
			return true, s.state.token.Load().finished()
		}
	}
	s.keep(ctx, token)
	if !token.valid(time.Now()) {
		return true, &Error{Err: errors.New("the token has expired already when it came")}
	}
	return true, nil
}

// afterPause looks what others have stored while this process had the answer and slept: its claim may have run out. It returns the
// token to store, or nil if another's counts. Otherwise nothing stands between an answer and its being stored.
func (s *Source) afterPause(ctx context.Context, mine, token *Token) *Token {
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
		return token.with(func(t *Token) { t.claim = mine.claim })
	default:
		return token
	}
}

// markAgain writes a claim for another attempt, so that others respect it for a whole lease more.
func (s *Source) markAgain(ctx context.Context, mine *Token) (*Token, error) {
	return s.markSent(ctx, mine.with(func(t *Token) {
		c := *mine.claim
		c.Attempt++
		t.claim = &c
	}))
}

// failed deals with a refused or failed refresh. Only one error ends a connection, and none loses a token.
func (s *Source) failed(ctx context.Context, mine *Token, c *call, err error, doubtful, refused bool) error {
	free := mine.released(doubtful || c.lost)
	if c.got != nil && c.got.errorCode == "" && c.got.refreshToken != "" && !c.lost {
		// The answer is of no use but for the refresh token that has taken the place of the spent one.
		s.keep(ctx, mine.released(false).with(func(t *Token) { t.refresh, t.generation = c.got.refreshToken, mine.generation+1 }))
		return err
	}
	e, ok := errors.AsType[*Error](err)
	if c.lost || !ok || e.Code != "invalid_grant" || !e.Rejected() {
		if e := s.save(ctx, free); e != nil {
			s.logger.Warn("a claim could not be taken back; others respect it for a while", zap.Error(e))
		}
		return err
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

// keep stores a token and then has it used. If it cannot be stored it is used all the same, and stored as soon as that is
// possible: it is the only one.
func (s *Source) keep(ctx context.Context, token *Token) {
	st := s.state
	st.records.Lock()
	err := s.store.save(context.WithoutCancel(ctx), token)
	st.token.Store(token)
	st.seen = time.Now()
	s.lookLater(token)
	st.records.Unlock()

	st.mu.Lock()
	persisting := st.unsaved != nil
	st.unsaved = nil
	if err != nil {
		st.unsaved = token
	}
	st.mu.Unlock()
	if err != nil {
		s.logger.Error("a new token could not be stored; it is used from memory, and storing it is tried until it succeeds", zap.Error(err))
		if !persisting {
			go s.persist() //nolint:contextcheck,gosec // G118: it belongs to no request
		}
	}
}

// persistInterval is how often it is tried to store what could not be stored.
const persistInterval = time.Second

// persist stores the state's unsaved token, however long that takes. The process waits for it before it ends; see
// connections.Destruct.
func (s *Source) persist() {
	st := s.state
	for {
		time.Sleep(persistInterval)
		st.records.Lock()
		st.mu.Lock()
		token := st.unsaved
		st.mu.Unlock()
		if token == nil {
			st.records.Unlock()
			return
		}
		if stored, err := s.store.load(context.Background()); err == nil {
			_ = s.storeUnsaved(context.Background(), token, stored)
		}
		st.records.Unlock()
	}
}

// storeUnsaved stores the state's unsaved token, unless what is stored by now counts more: that is used then. st.records is held.
func (s *Source) storeUnsaved(ctx context.Context, unsaved, stored *Token) error {
	st := s.state
	token := unsaved.over(stored)
	if token != stored {
		if err := s.store.save(ctx, token); err != nil {
			return err
		}
	}
	st.token.Store(token)
	st.seen = time.Now()
	s.lookLater(token)
	st.mu.Lock()
	if st.unsaved == unsaved {
		st.unsaved = nil
	}
	st.mu.Unlock()
	if token == stored {
		s.logger.Warn("the token that could not be stored is of no use any more: another node has gone on", zap.Uint64("generation", token.generation))
	} else {
		s.logger.Info("the token that could not be stored is stored now", zap.Uint64("generation", token.generation))
	}
	return nil
}

// over returns what counts of t, which comes late to the storage, and of what is stored there: the newest account that was
// connected, or the disconnect after it; and of one account the newest token.
func (t *Token) over(stored *Token) *Token {
	switch {
	case stored == nil || stored.end.Reason == ReasonDamaged:
		return t
	case stored.generation < t.generation || stored.generation == t.generation && stored.access == t.access && !stored.foreign:
		return t
	case stored.foreign || !t.connected.After(stored.connected) || stored.end.Reason == ReasonDisconnected && stored.changed.After(t.connected):
		return stored
	default:
		return t.with(func(t *Token) { t.generation = stored.generation + 1 })
	}
}

// lock takes the storage's lock for a generation, if it is to be had within a few seconds. It is a hint and nothing else: the name
// has the generation in it, so that a lock that is never given back cannot harm a later one.
func (s *Source) lock(ctx context.Context, generation uint64) (unlock func()) {
	name := s.lockName(generation)
	lockCtx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	if err := s.store.within().Lock(lockCtx, name); err != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
		defer cancel()
		_ = s.store.within().Unlock(ctx, name)
	}
}

func (s *Source) lockName(generation uint64) string {
	ring, err := s.store.ring()
	if err != nil {
		return ""
	}
	return s.store.names(ring)[0] + "." + strconv.FormatUint(generation, 10)
}

// refusedRefresh reports whether a provider has refused a refresh token in words that mean something else: Dex says
// invalid_request of a used one, Gitea unauthorized_client.
func refusedRefresh(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status >= http.StatusBadRequest && e.Rejected() &&
		slices.Contains([]string{"invalid_request", "unauthorized_client"}, e.Code)
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
