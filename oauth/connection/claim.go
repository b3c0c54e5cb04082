// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A refresh token can be redeemed once where a provider rotates refresh tokens, and a provider
// that sees one twice may withdraw the whole grant (RFC 9700 §4.14.2). No lock of a storage can
// be trusted: some storages lock nothing, and others lose a lock or never give it back. So a
// node that wants to redeem writes a claim into the record, waits until every node can see the
// claim, and reads the record again; the claim that was written last wins. A node that sees
// another node's claim waits for the next generation, for as long as the owner of the claim may
// live. A node takes the storage's lock as well, but nothing relies on it.
const (
	// settleTime is how long a claim must stand before it counts. A node whose reading is a
	// little stale may not have seen our claim and may still write its own, and that claim must
	// be visible here before we rely on ours: settleTime is twice the lag of a read (200 ms) and
	// lateAfter.
	settleTime = 700 * time.Millisecond

	// lateAfter is the longest that a claim may follow the reading on which it rests. A slower
	// claim may have overwritten one that its owner has confirmed already.
	lateAfter = 300 * time.Millisecond

	// pollInterval is how often the record is read while another node renews the token.
	pollInterval = 200 * time.Millisecond

	// leaseClaimed is the lease of a claim whose owner has surely not sent the refresh token.
	leaseClaimed = 3 * time.Second

	// lockPatience bounds the wait for the storage's lock.
	lockPatience = 5 * time.Second

	// leaseSlack is by how much a lease is longer than the wait for the lock and the token
	// request.
	leaseSlack = 2 * time.Second

	// ClockSkew is how far apart the clocks of nodes may be.
	ClockSkew = time.Minute

	// longDead is how old a claim may be beyond its lease. An older claim is ignored at once,
	// even if the clocks of nodes differ.
	longDead = 10 * time.Minute
)

var (
	errTooSlow   = errors.New("the storage is too slow for a claim to be sure of")
	errLeaseLost = errors.New("the storage was so slow that the claim was over before it could be marked again")
)

// watch is what a node has seen of other nodes' claims. The clocks of other nodes may be wrong,
// so a claim grows old by our own clock.
type watch struct {
	claim record.Claim
	since time.Time
}

// expired reports whether a claim need not be respected: there is none, it is our own, its owner
// has abandoned it, or its owner must have died.
func (w *watch) expired(c *record.Claim, self string, lease time.Duration, now time.Time) bool {
	if c == nil || c.Owner == self || c.Abandoned {
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

// claimer claims the refresh token of one connection, among many nodes.
type claimer Source

func (c *claimer) records() *replica { return (*replica)(c) }

// take claims the generation of base, which was read at a time, and marks the refresh token as
// sent. It returns nil if another node has the claim.
func (c *claimer) take(ctx context.Context, base *record.Token, read time.Time) (*record.Token, error) {
	mine, until, err := c.claim(ctx, base, read)
	if mine == nil || err != nil {
		return nil, err
	}
	if mine, err = c.markSent(ctx, mine); err != nil {
		return nil, err
	}
	if time.Now().After(until) {
		return c.waitOutRivals(ctx, mine, read)
	}
	return mine, nil
}

// claim claims the generation of base, which was read at a time. It returns the token as the
// record has it then, or nil if another node has won. Until the time until no node takes the
// claim for a dead node's.
//
// A claim also proves that the storage can be written, before the refresh token is spent.
func (c *claimer) claim(ctx context.Context, base *record.Token, read time.Time) (mine *record.Token, until time.Time, err error) {
	now := time.Now()
	until = now.Add(leaseClaimed)
	attempt := 1
	if base.Claim != nil {
		attempt += base.Claim.Attempt
	}
	mine = base.With(func(t *record.Token) {
		t.Claim = &record.Claim{Owner: c.conn.claimant(), Attempt: attempt, Doubt: base.Claim.Doubtful(), At: now.UnixMilli()}
	})
	if err := c.save(ctx, mine); err != nil {
		return nil, until, err
	}
	if time.Since(read) > lateAfter {
		c.noteSlowWrite(base, read)
	}
	if _, suspect := c.conn.suspectSince(read); suspect {
		until = now
	}
	if err := sleep(ctx, settleTime); err != nil {
		return nil, until, err
	}
	if held, err := c.holds(ctx, mine); !held || err != nil {
		return nil, until, err
	}
	return mine, until, nil
}

// save stores a claim.
func (c *claimer) save(ctx context.Context, mine *record.Token) error {
	begin := time.Now()
	err := c.records().save(ctx, mine)
	if err == nil {
		return nil
	}
	if time.Since(begin) > lateAfter {
		c.conn.noteSlowWrite(time.Time{}, c.rivalWindow())
	}
	return fmt.Errorf("claiming the refresh token: %w", err)
}

// markSent writes into the claim of mine that the refresh token is about to be sent.
func (c *claimer) markSent(ctx context.Context, mine *record.Token) (*record.Token, error) {
	sent := mine.With(func(t *record.Token) {
		marked := *mine.Claim
		marked.Sent, marked.At = true, time.Now().UnixMilli()
		t.Claim = &marked
	})
	if err := c.save(ctx, sent); err != nil {
		return nil, err
	}
	return sent, nil
}

// markAgain marks a claim for another attempt, so that other nodes respect it for a whole lease
// more. If the write fails, the claim that it returns may be in the storage anyway.
func (c *claimer) markAgain(ctx context.Context, mine *record.Token) (*record.Token, error) {
	again := mine.With(func(t *record.Token) {
		marked := *mine.Claim
		marked.Sent, marked.At = true, time.Now().UnixMilli()
		marked.Attempt++
		t.Claim = &marked
	})
	return again, c.save(ctx, again)
}

// prolong renews our claim, but only while its lease still runs; afterwards another node may own
// the refresh token. If the write fails, the claim that prolong returns may be in the storage
// anyway. errLeaseLost means that it may have overwritten another node's claim. It must stay
// then: a node that sees no claim would redeem the refresh token a second time.
func (c *claimer) prolong(ctx context.Context, mine *record.Token) (*record.Token, error) {
	if mine.Claim.Age() > c.set.lease {
		return mine, errTooSlow
	}
	again, err := c.markAgain(ctx, mine)
	if mine.Claim.Age() > c.set.lease {
		c.conn.noteSlowWrite(time.Time{}, c.rivalWindow())
		err = errLeaseLost
	}
	return again, err
}

// holds reports whether the record still has the claim of mine.
func (c *claimer) holds(ctx context.Context, mine *record.Token) (bool, error) {
	stored, err := c.records().load(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the claim again: %w", err)
	}
	return stored != nil && stored.Generation == mine.Generation && stored.Claim != nil &&
		stored.Claim.Owner == mine.Claim.Owner && stored.Claim.Attempt == mine.Claim.Attempt, nil
}

// holdsStill is holds for a claim that is about to be used. It tries three times, so that a
// storage that fails for a moment does not end what has begun. If the storage was so slow that
// the rest of the lease is too short for a token request, it prolongs the claim.
func (c *claimer) holdsStill(ctx context.Context, mine *record.Token) (_ *record.Token, held bool, err error) {
	for range 3 {
		if held, err = c.holds(ctx, mine); err == nil || sleep(ctx, pollInterval) != nil {
			break
		}
	}
	if err != nil || !held || mine.Claim.Age() <= lockPatience+leaseSlack-provider.Overrun {
		return mine, held, err
	}
	if mine, err = c.prolong(ctx, mine); err != nil {
		return mine, false, err
	}
	held, err = c.holds(ctx, mine)
	if err == nil && held && mine.Claim.Age() > lockPatience+leaseSlack-provider.Overrun {
		err = errTooSlow
	}
	return mine, held, err
}

// release takes our claim out of the record after a failure, unless another node has claimed or
// written the record since: this process may have been suspended. It returns err, or nil if
// there is a newer token.
func (c *claimer) release(ctx context.Context, mine *record.Token, doubtful bool, err error) error {
	stored, e := c.records().load(ctx)
	held := e == nil && stored != nil && stored.Generation == mine.Generation && stored.Claim != nil &&
		stored.Claim.Owner == mine.Claim.Owner // of any attempt: a mark may have failed, or not
	if held {
		e = c.records().save(ctx, mine.Released(doubtful))
	}
	if e != nil {
		c.set.Logger.Warn("a claim could not be taken back; others respect it for a while", zap.Error(e))
	}
	if e != nil || held {
		return err
	}
	if newest, e := c.records().latest(ctx); e == nil && newest.Generation > mine.Generation {
		return newest.Finished()
	}
	return err
}

// lock takes the storage's lock for a generation, if it comes within a few seconds. The lock is
// a hint and nothing else. Its name has the generation in it, so that a lock that is never given
// back harms no later generation.
func (c *claimer) lock(ctx context.Context, generation uint64) (unlock func()) {
	name := c.lockName(generation)
	lockCtx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	if err := c.records().store.Within().Lock(lockCtx, name); err != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), record.StorageTimeout)
		defer cancel()
		_ = c.records().store.Within().Unlock(ctx, name)
	}
}

func (c *claimer) lockName(generation uint64) string {
	ring, err := c.records().store.Keys()
	if err != nil {
		return ""
	}
	return c.records().store.Names(ring)[0] + "." + strconv.FormatUint(generation, 10)
}
