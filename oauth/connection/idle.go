// SPDX-License-Identifier: Apache-2.0

package connection

import (
	weakrand "math/rand/v2"
	"slices"
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

// keeperClock says when a job of a datasource is done, if that is earlier than the job's own
// plan. It outlives reloads.
type keeperClock struct {
	mu   sync.Mutex
	due  time.Time // zero: there is no such time
	jobs []waiting // of running configurations
}

// waiting is a job in the schedule of a configuration.
type waiting struct {
	schedule *schedule
	job      *job
}

// join has a job told when the time becomes earlier.
func (c *keeperClock) join(s *schedule, j *job) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, waiting{s, j})
}

// leave ends what join has begun.
func (c *keeperClock) leave(s *schedule, j *job) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = slices.DeleteFunc(c.jobs, func(w waiting) bool { return w == waiting{s, j} })
}

// wakeBy has the job done at a time, unless an earlier time is set.
func (c *keeperClock) wakeBy(at time.Time) {
	// A time from a record is on the wall clock. When that is set, such a time cannot be compared
	// any more with those of jobs that wait already.
	now := time.Now()
	at = now.Add(at.Sub(now))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due.IsZero() && !at.Before(c.due) {
		return
	}
	c.due = at
	for _, w := range c.jobs {
		w.schedule.bring(w.job, at)
	}
}

// time returns the time that is set, or the zero time.
func (c *keeperClock) time() time.Time {
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due
}

// pass forgets a time that has passed, since the job is done now.
func (c *keeperClock) pass() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due.After(time.Now()) {
		c.due = time.Time{}
	}
}
