// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	weakrand "math/rand/v2"
	"sync"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// A refresh token may have an end of its own, which each use puts off: Keycloak's is half an hour away. Where the provider says
// so, an idle one is used before, whatever keep_alive is.
const (
	// idleMargin is how long before its end an idle refresh token is used: a fifth of its life, and at least that, so that it is
	// not used more often than each minute; or half of the life, where that is shorter.
	idleMargin = time.Minute

	// idleMinimum is how old a refresh token is at least when it is used for that reason: an end that cannot be put off comes
	// ever nearer.
	idleMinimum = 2 * time.Second
)

// setRefreshEnd sets when the refresh token of an answer ends. before is the token in whose place it comes, or nil. A refresh
// token that stays keeps its end, unless the provider gives it another one.
func (t *Token) setRefreshEnd(a *provider.Answer, before *Token) {
	switch {
	case a.RefreshLifetime > 0:
		t.refreshEnd = t.obtained.Add(a.RefreshLifetime)
	case before != nil && t.refresh == before.refresh:
		t.refreshEnd = before.refreshEnd
	}
}

// refreshMargin is how long before its end the refresh token is used.
func (t *Token) refreshMargin() time.Duration {
	life := t.refreshEnd.Sub(t.obtained)
	return max(life/5, min(life/2, idleMargin))
}

// keepAt returns when the refresh token is used if nobody has until then. idle is the option keep_alive.
func (t *Token) keepAt(idle time.Duration) time.Time {
	at := t.asked().Add(idle)
	if t.refreshEnd.IsZero() {
		return at
	}
	inTime := t.refreshEnd.Add(-t.refreshMargin())
	if soonest := t.asked().Add(idleMinimum); inTime.Before(soonest) {
		inTime = soonest
	}
	if inTime.Before(at) {
		return inTime
	}
	return at
}

// keepInTime has the keeper look at the records when the refresh token of a token is to be used. It looks up to half of the
// margin later, so that nodes do not all do so at once, and so that those of many connections are used together.
func (set *Set) keepInTime(token *Token) {
	idle := set.KeepAlive
	if idle <= 0 || token.refreshEnd.IsZero() || !token.redeemable() {
		return
	}
	quarter := token.refreshMargin() / 4
	wait := quarter + time.Duration(weakrand.Float64()*float64(quarter)) //nolint:gosec // G404: a jitter is no secret
	if at := token.keepAt(idle).Add(wait); at.After(time.Now()) {
		set.pool.keeper.wakeBy(at)
	}
}

// keepInTime is that of the method whose configuration runs: another one may keep the records by now.
func (r *replica) keepInTime(token *Token) {
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
