// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	weakrand "math/rand/v2"
	"sync"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// keepInTime has the keeper start a round when the refresh token of a token must be used. The
// round starts later by up to half of the margin, so that not all nodes start at once, and so
// that the refresh tokens of many connections are used in one round.
func (set *Set) keepInTime(token *record.Token) {
	idle := set.KeepAlive
	if idle <= 0 || token.RefreshEnd.IsZero() || !token.Redeemable() {
		return
	}
	quarter := token.RefreshMargin() / 4
	wait := quarter + time.Duration(weakrand.Float64()*float64(quarter)) //nolint:gosec // G404: a jitter is no secret
	if at := token.KeepAt(idle).Add(wait); at.After(time.Now()) {
		set.pool.keeper.wakeBy(at)
	}
}

// keepInTime calls Set.keepInTime of the set whose configuration runs now.
func (r *replica) keepInTime(token *record.Token) {
	if set := r.set.pool.successor(r.set); set != nil {
		set.keepInTime(token)
	}
}

// keeperClock tells the keeper when the next round starts, if that is earlier than the keeper's
// own plan.
type keeperClock struct {
	mu      sync.Mutex
	due     time.Time     // zero: there is no such time
	earlier chan struct{} // closed when due becomes earlier
}

// wakeBy has the next round start at a time, unless an earlier time is set.
func (c *keeperClock) wakeBy(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due.IsZero() && !at.Before(c.due) {
		return
	}
	c.due = at
	if c.earlier != nil {
		close(c.earlier)
		c.earlier = nil
	}
}

// next returns when the next round starts, which is never after latest, and a channel that is
// closed when the time becomes earlier. It forgets a time that has passed.
func (c *keeperClock) next(latest time.Time) (at time.Time, earlier <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at = latest
	if !c.due.IsZero() && c.due.Before(at) {
		at = c.due
	}
	if !c.due.After(time.Now()) {
		c.due = time.Time{}
	}
	if c.earlier == nil {
		c.earlier = make(chan struct{})
	}
	return at, c.earlier
}

// rest waits until the next round starts. It returns an error if ctx ends before.
func (c *keeperClock) rest(ctx context.Context, wait time.Duration) error {
	latest := time.Now().Add(wait)
	for {
		at, earlier := c.next(latest)
		left := time.Until(at)
		if left <= 0 {
			return context.Cause(ctx)
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-earlier:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
