// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A slow write can land on top of what another node has written in the meantime. The functions
// here find out whether that may have happened, and wait until the other node's work shows, or
// cannot exist.

// noteSlowWrite notes that a write was slow which rests on a reading of base.
func (c *claimer) noteSlowWrite(base *record.Token, read time.Time) {
	if base.Node == "" {
		read = time.Time{} // a node without an entry has written base, and may still be there
	}
	c.conn.noteSlowWrite(read, c.rivalWindow())
}

// rivalWindow is how long it takes until other nodes have seen and repaired a newer record that
// we have overwritten.
func (c *claimer) rivalWindow() time.Duration {
	return max(c.set.lease, recheckDeadline+2*time.Second)
}

// hasNoRival reports whether no other node's write can lie below our claim, however slow that
// was. The claim rests on a reading.
func (c *claimer) hasNoRival(ctx context.Context, mine *record.Token, read time.Time) bool {
	from, _ := c.conn.suspectSince(read)
	return mine.Node != "" && sleep(ctx, lateAfter) == nil && c.set.presence.alone(ctx, from)
}

// waitOutRivals waits until every node that may have redeemed the refresh token meanwhile has
// stored the next one, or has died: the storage is so slow, or this process was suspended for so
// long, that our claim may lie over another node's. It returns nil if it did. It does not wait
// if there is no other node.
func (c *claimer) waitOutRivals(ctx context.Context, mine *record.Token, read time.Time) (*record.Token, error) {
	wait := c.rivalWindow()
	// Each mark is for nodes that have seen the mark before it, so that they go on waiting. It
	// must come before a lease ends.
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

// settled returns the newest token once no other node redeems its refresh token, and when the
// reading of it began.
func (c *claimer) settled(ctx context.Context) (*record.Token, time.Time, error) {
	var others watch
	for {
		base, read, err := c.records().read(ctx)
		if err != nil || !base.Redeemable() || others.expired(base.Claim, c.conn.claimant(), c.set.lease, time.Now()) {
			return base, read, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, read, err
		}
	}
}

// displaced waits until every node can see mine, the record that we have just written over
// another. If a node that had not seen mine has claimed the old refresh token, displaced waits
// for that node to finish, and returns what it has stored. It returns nil if mine stands.
func (c *claimer) displaced(ctx context.Context, mine *record.Token) (*record.Token, error) {
	var others watch
	for wait := settleTime; ; wait = pollInterval {
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		stored, err := c.records().load(ctx)
		switch {
		case err != nil || stored == nil || stored.Placeholder() || mine.Stands(stored):
			return nil, err
		case stored.Generation >= mine.Generation || others.expired(stored.Claim, c.conn.claimant(), c.set.lease, time.Now()):
			return stored, nil
		}
	}
}
