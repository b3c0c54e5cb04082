// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// How old what is known of a record may be. A connection that was disconnected on another node must not be served here
// half a minute later.
const (
	// recheckInterval is when a request has the record read again, in the background.
	recheckInterval = 20 * time.Second

	// recheckDeadline is when a request waits for that.
	recheckDeadline = 25 * time.Second

	// recheckAbsent is recheckInterval for a connection that cannot be served: it may have been made on another node.
	recheckAbsent = time.Second

	// recheckPatience is how long a request waits. A storage that hangs must not stop requests that have a valid token.
	recheckPatience = time.Second

	// mendAfter is how long a storage may go on to answer with what was there before.
	mendAfter = 5 * time.Second
)

// recheckAfter is when a node reads again what it has stored. Another one may have begun to write a claim before it saw that, and the
// older generation comes back with it. That one waits then, so that this is mended (see waitOutRivals), and it must not depend on a request
// whether somebody does.
var recheckAfter = [...]time.Duration{8 * time.Second, 16 * time.Second, 24 * time.Second}

// mind has the record looked at, after it was stored.
func (s *Source) recheckAfterSave() {
	if s.redeem == nil {
		return
	}
	for _, after := range recheckAfter {
		time.AfterFunc(after, func() {
			switch m := s.method.connections.successor(s.method); m {
			case nil:
			case s.method:
				s.startRecheck(time.Now())
			default:
				m.Source(s.store.connection).startRecheck(time.Now())
			}
		})
	}
}

// recheck has the record read again if it is time to, and returns the token that is known then.
func (s *Source) recheck(ctx context.Context, now time.Time, token *Token) *Token {
	st := s.state
	late := now.Sub(time.Unix(0, st.recheckAt.Load()))
	if late < 0 {
		return token
	}
	f, blind := s.startRecheck(now) //nolint:contextcheck // what one request has begun others wait for too
	if blind || token.valid(now) && late < recheckDeadline-recheckInterval {
		return token
	}
	patience := time.NewTimer(recheckPatience)
	defer patience.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
	case <-patience.C:
		st.mu.Lock()
		st.storageDownUntil = now.Add(recheckInterval)
		st.mu.Unlock()
	}
	return st.token.Load()
}

// startRecheck starts to read the record, unless somebody does. It reports whether nobody should wait for it.
func (s *Source) startRecheck(now time.Time) (f *operation, blind bool) {
	st := s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.rechecking == nil {
		st.rechecking = &operation{by: s, done: make(chan struct{})}
		go s.runRecheck(st.rechecking)
	}
	return st.rechecking, now.Before(st.storageDownUntil)
}

func (s *Source) runRecheck(f *operation) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	_, f.err = s.latest(ctx)
	s.state.mu.Lock()
	s.state.rechecking = nil
	if f.err != nil {
		s.state.storageDownUntil = time.Now().Add(recheckInterval)
	}
	s.state.mu.Unlock()
	close(f.done)
	if f.err != nil {
		s.logger.Warn("the stored connection cannot be read; what is in memory is used", zap.Error(f.err))
	}
}

// latest reads the record, and returns the newest token that is known now: with its claim, if it is as stored. If the storage
// has an older one than memory, that is mended: a write was lost, or the storage was rolled back.
func (s *Source) latest(ctx context.Context) (*Token, error) {
	token, _, err := s.read(ctx)
	return token, err
}

// read is latest that also returns when the last reading of the record began, on which a claim rests: what came before that makes no
// claim late, be it the wait for who else used the record or for one that seemed damaged.
func (s *Source) read(ctx context.Context) (token *Token, began time.Time, err error) {
	if err := s.state.records.lock(ctx); err != nil {
		s.scheduleRecheck(s.state.token.Load())
		return s.state.token.Load(), time.Now(), err
	}
	defer s.state.records.Unlock()
	began = time.Now()
	stored, err := s.store.load(ctx)
	current := s.state.token.Load()
	defer func() { s.scheduleRecheck(s.state.token.Load()) }()
	if err == nil && current.alive() && stored != nil && stored.end.Reason == ReasonDamaged {
		stored, began, err = s.undamaged(ctx, stored, current)
	}
	if err != nil {
		return current, began, err
	}
	token, err = s.adopt(ctx, stored, current)
	return token, began, err
}

// adopt has what is stored used, or stores what is in memory, whichever is newer. It returns that. st.records is held.
func (s *Source) adopt(ctx context.Context, stored, current *Token) (*Token, error) {
	st := s.state
	st.mu.Lock()
	unsaved := st.unsaved
	st.mu.Unlock()
	switch {
	case unsaved != nil:
		err := s.storeUnsaved(ctx, unsaved, stored)
		return st.token.Load(), err
	case current == nil:
		if stored = s.fromSpool(ctx, stored); stored == nil {
			stored = &Token{}
		}
	case stored == nil && current.generation == 0:
		return current, nil
	case stored == nil && (current.standIn() || s.method.dead(current, time.Now())):
		stored = &Token{} // another node has forgotten it
	case current.standIn() && !current.is(stored):
		// A read in the midst of a write has found it damaged, or it was another client's. There is nothing to be mended with.
	case stored == nil || !stored.foreign && stored.generation < current.generation:
		if time.Since(st.seen) < mendAfter {
			return current, nil // a replica that lags behind, perhaps
		}
		return current, s.mend(ctx, stored, current)
	case current.is(stored):
		return stored, nil
	}
	st.token.Store(stored)
	s.keepInTime(stored)
	st.seen = time.Now()
	if current != nil {
		st.forgive()
		s.yield(current, stored) //nolint:contextcheck // what is revoked belongs to no request
	}
	return stored, nil
}

// yield gives back an account that this process has connected, if what another node has stored unawares, too late for install to
// see it, has taken its place: that has the same generation, and comes of something else.
func (s *Source) yield(current, stored *Token) {
	s.state.mu.Lock()
	mine := current.grant != "" && s.state.connectedHere == current.grant
	s.state.mu.Unlock()
	if !mine || stored.standIn() || stored.generation != current.generation || stored.sameGrant(current) {
		return
	}
	s.logger.Warn("the account that was connected here was overwritten by a node that had not seen it; its tokens are revoked")
	go s.revokeQuietly(current.without(stored))
}

// fromSpool returns what an earlier process has left that is newer than what is stored, when it is stored, or else stored. st.records
// is held.
func (s *Source) fromSpool(ctx context.Context, stored *Token) *Token {
	left, remove := s.unspool()
	if left != nil && stored != nil {
		if stored.foreign {
			left = nil
		} else if kept := left.over(stored); kept == stored {
			s.discard(left, stored) //nolint:contextcheck // the same
			left = nil
		} else {
			left = kept
		}
	}
	if left != nil {
		s.logger.Info("storing a token that an earlier process could not store", zap.Uint64("generation", left.generation))
		if err := s.store.save(ctx, left); err != nil {
			return left // it stays in its file, too
		}
		stored = left
	}
	if remove != nil {
		remove()
	}
	return stored
}

// undamaged deals with a damaged record of a connection that is in memory: it is written again, unless the storage was only in the midst
// of writing it. It returns what is stored then, and when the last reading began. st.records is held.
func (s *Source) undamaged(ctx context.Context, stored, current *Token) (_ *Token, began time.Time, _ error) {
	if err := sleep(ctx, settleTime); err != nil {
		return nil, time.Now(), err
	}
	began = time.Now()
	again, err := s.store.load(ctx)
	if err != nil || again == nil || again.end.Reason != ReasonDamaged {
		return again, began, err
	}
	// If a newer generation was damaged the refresh token in memory may be spent.
	mended := current.released(current.claim.doubtful() || stored.generation > current.generation)
	return mended, began, s.mend(ctx, stored, mended)
}

// mend writes what is in memory over an older record. st.records is held.
func (s *Source) mend(ctx context.Context, stored, current *Token) error {
	var generation uint64
	if stored != nil {
		generation = stored.generation
	}
	s.logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost; it is written again",
		zap.Uint64("stored", generation), zap.Uint64("in_memory", current.generation))
	if err := s.store.save(ctx, current); err != nil {
		return err
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.unsaved != nil && s.state.unsaved.is(current) {
		s.state.unsaved = nil
	}
	return nil
}

// scheduleRecheck sets when the record is read again.
func (s *Source) scheduleRecheck(token *Token) {
	now := time.Now()
	after := recheckInterval
	if !token.valid(now) {
		after = recheckAbsent
	}
	s.state.recheckAt.Store(now.Add(after).UnixNano())
}
