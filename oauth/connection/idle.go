// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	weakrand "math/rand/v2"
	"sync"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// keepInTime has the keeper look at the records when the refresh token of a token is to be used. It looks up to half of the
// margin later, so that nodes do not all do so at once, and so that those of many connections are used together.
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

// keepInTime is that of the method whose configuration runs: another one may keep the records by now.
func (r *replica) keepInTime(token *record.Token) {
	if m := r.set.pool.successor(r.set); m != nil {
		m.keepInTime(token)
	}
}

// keeperClock tells the keeper when the records are to be looked at, if that is earlier than it would by itself.
type keeperClock struct {
	mu      sync.Mutex
	due     time.Time     // zero: there is no such time
	earlier chan struct{} // closed when due becomes earlier
}

// wakeBy sets a time, unless there is an earlier one.
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

// next returns when to look next, by a time at the latest, and what is closed when that becomes earlier. A time that has passed is
// forgotten.
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

// rest waits until it is time to look. It returns an error if ctx ends before.
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
