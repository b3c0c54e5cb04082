// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
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

	// longDead is how old a claim is, by whatever clock, of which nobody needs to wait for the end.
	longDead = 10 * time.Minute
)

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
	return now.Sub(w.since) >= lease || now.Sub(time.UnixMilli(c.At)) > lease+longDead
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
	if err := s.saveClaim(ctx, mine); err != nil {
		return nil, until, err
	}
	if time.Since(read) > lateAfter {
		s.beLate(base, read)
	}
	if _, late := s.state.lateSince(read); late {
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

// beLate notes that a write that rests on a reading of base was late.
func (s *Source) beLate(base *Token, read time.Time) {
	if base.node == "" {
		read = time.Time{} // a node without an entry has written that, and may still be there
	}
	s.state.beLate(read, s.outlasts())
}

// outlasts is how long it takes until others have also seen, and mended, if a newer record was overwritten.
func (s *Source) outlasts() time.Duration { return max(s.lease, lookBy+2*time.Second) }

// unrivalled reports whether nothing of another node can lie below a claim of this one that rests on a reading, however late it is.
func (s *Source) unrivalled(ctx context.Context, mine *Token, read time.Time) bool {
	from, _ := s.state.lateSince(read)
	return mine.node != "" && sleep(ctx, lateAfter) == nil && s.store.presence.alone(ctx, from)
}

// outlast waits until whoever may have redeemed the refresh token in the meantime has stored the next one, or has died: the
// storage is so slow, or this process stood still for so long, that the claim may have been written over another's. It returns nil
// if that was so. Where no other node can be it does not wait.
func (s *Source) outlast(ctx context.Context, mine *Token, read time.Time) (*Token, error) {
	wait := s.outlasts()
	// Each mark is for those who have seen the one before, so that they go on waiting: it must come before a lease is over.
	steps := max(2, int((wait+s.lease-leaseClaimed-1)/(s.lease-leaseClaimed)))
	for i := range steps {
		next := time.Now().Add(wait / time.Duration(steps))
		if i == 0 && s.unrivalled(ctx, mine, read) {
			return mine, nil
		}
		if i == 0 {
			s.logger.Warn("the storage is slow; waiting in case another node renews the token, too", zap.Duration("wait", wait))
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
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
		s.state.beLate(time.Time{}, s.outlasts())
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

// holdsStill is holds for a claim that is about to be used. A storage that fails for a moment must not end what has begun; and where it
// was slow the claim is marked once more, for what is left of the lease would not be enough for the token request.
func (s *Source) holdsStill(ctx context.Context, mine *Token) (_ *Token, held bool, err error) {
	for range 3 {
		if held, err = s.holds(ctx, mine); err == nil || sleep(ctx, pollInterval) != nil {
			break
		}
	}
	if err != nil || !held || mine.age() <= lockPatience+leaseSlack-provider.Overrun {
		return mine, held, err
	}
	if mine, err = s.prolong(ctx, mine); err != nil {
		return mine, false, err
	}
	held, err = s.holds(ctx, mine)
	if err == nil && held && mine.age() > lockPatience+leaseSlack-provider.Overrun {
		err = errTooSlow
	}
	return mine, held, err
}

var (
	errTooSlow = errors.New("the storage is too slow for a claim to be sure of")
	errOver    = errors.New("the storage was so slow that the claim was over before it could be marked again")
)

// age is how long ago the claim was written.
func (t *Token) age() time.Duration { return time.Since(time.UnixMilli(t.claim.At)) }

// prolong is markAgain for a claim whose lease must not be over yet: another node may have taken over else. With an error it returns
// the claim as it may be stored all the same. With errOver it may be stored over another node's, and must stay: whoever saw none
// would redeem what that one redeems.
func (s *Source) prolong(ctx context.Context, mine *Token) (*Token, error) {
	if mine.age() > s.lease {
		return mine, errTooSlow
	}
	again, err := s.markAgain(ctx, mine)
	if mine.age() > s.lease {
		s.state.beLate(time.Time{}, s.outlasts())
		err = errOver
	}
	return again, err
}

// markAgain marks a claim for another attempt, so that others respect it for a whole lease more. With an error it returns the claim as it
// may be stored all the same.
func (s *Source) markAgain(ctx context.Context, mine *Token) (*Token, error) {
	again := mine.with(func(t *Token) {
		c := *mine.claim
		c.Sent, c.At = true, time.Now().UnixMilli()
		c.Attempt++
		t.claim = &c
	})
	return again, s.saveClaim(ctx, again)
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
