// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// noteSlowWrite notes that a write that rests on a reading of base was late.
func (c *claimer) noteSlowWrite(base *Token, read time.Time) {
	if base.node == "" {
		read = time.Time{} // a node without an entry has written that, and may still be there
	}
	c.conn.noteSlowWrite(read, c.rivalWindow())
}

// rivalWindow is how long it takes until others have also seen, and mended, if a newer record was overwritten.
func (c *claimer) rivalWindow() time.Duration { return max(c.set.lease, recheckDeadline+2*time.Second) }

// hasNoRival reports whether nothing of another node can lie below a claim of this one that rests on a reading, however late it is.
func (c *claimer) hasNoRival(ctx context.Context, mine *Token, read time.Time) bool {
	from, _ := c.conn.suspectSince(read)
	return mine.node != "" && sleep(ctx, lateAfter) == nil && c.records.store.presence.alone(ctx, from)
}

// waitOutRivals waits until whoever may have redeemed the refresh token in the meantime has stored the next one, or has died: the
// storage is so slow, or this process stood still for so long, that the claim may have been written over another's. It returns nil
// if that was so. Where no other node can be it does not wait.
func (c *claimer) waitOutRivals(ctx context.Context, mine *Token, read time.Time) (*Token, error) {
	wait := c.rivalWindow()
	// Each mark is for those who have seen the one before, so that they go on waiting: it must come before a lease is over.
	steps := max(2, int((wait+c.set.lease-leaseClaimed-1)/(c.set.lease-leaseClaimed)))
	for i := range steps {
		next := time.Now().Add(wait / time.Duration(steps))
		if i == 0 && c.hasNoRival(ctx, mine, read) {
			return mine, nil
		}
		if i == 0 {
			c.set.Logger.Warn("the storage is slow; waiting in case another node renews the token, too", zap.Duration("wait", wait))
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
			return nil, err
		}
		if held, err := c.holds(ctx, mine); !held || err != nil {
			return nil, err
		}
		var err error
		if mine, err = c.markAgain(ctx, mine); err != nil {
			return nil, err
		}
	}
	return mine, nil
}

// settled returns the newest token when no other node redeems its refresh token, and when the
// reading of that began.
func (c *claimer) settled(ctx context.Context) (*Token, time.Time, error) {
	var others watch
	for {
		base, read, err := c.records.read(ctx)
		if err != nil || !base.redeemable() || others.expired(base.claim, c.conn.name(), c.set.lease, time.Now()) {
			return base, read, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, read, err
		}
	}
}

// displaced waits until every node can see a record that was written in the place of another.
// If another node, which had not seen it, has claimed the refresh token before it in between,
// it waits for the end of that. It returns what is in its place then, or nil if it has stayed.
func (c *claimer) displaced(ctx context.Context, mine *Token) (*Token, error) {
	var others watch
	for wait := settleTime; ; wait = pollInterval {
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		stored, err := c.records.load(ctx)
		switch {
		case err != nil || stored == nil || stored.standIn() || mine.stands(stored):
			return nil, err
		case stored.generation >= mine.generation || others.expired(stored.claim, c.conn.name(), c.set.lease, time.Now()):
			return stored, nil
		}
	}
}

// stands reports whether a record is what is stored, or what is stored has come of it.
func (t *Token) stands(stored *Token) bool {
	return stored.generation >= t.generation && stored.sameGrant(t) && (t.end.Reason == "" || stored.end.Reason != "")
}
