// SPDX-License-Identifier: Apache-2.0

package connection

import "time"

// trouble is what only few connections have at a time, so that all others need no room for it:
// what has failed or is in doubt, and what comes of that.
type trouble struct {
	storageDownUntil time.Time      // until then no request waits for the storage
	failures         int            // how many renewals in a row have failed
	retryAt          time.Time      // the earliest time of the next renewal
	retryAfter       time.Time      // the same, if the provider has named it (Retry-After)
	lastErr          error          // the error of the last renewal
	failedSince      time.Time      // when the first of the renewals failed that have failed since a success
	forced           forced         // brakes the renewals that the API's refusals cause
	endAwaited       uint64         // the generation for whose end a timer runs; 0: none
	connectFailed    *FailedConnect // the last attempt to connect an account, if it has failed

	// refusedGeneration is the generation whose refresh token the provider has refused since its
	// access token ended; 0: none.
	refusedGeneration uint64

	// Until suspectUntil, a slow write of ours may lie over what another node has written since
	// suspectFrom. The zero suspectFrom stands for any time.
	suspectUntil, suspectFrom time.Time
}

// trouble returns what troubles the connection has. The caller holds mu.
func (c *Connection) trouble() trouble {
	if c.troubles == nil {
		return trouble{}
	}
	return *c.troubles
}

// troubled returns the troubles of the connection, to be changed. The caller holds mu.
func (c *Connection) troubled() *trouble {
	if c.troubles == nil {
		c.troubles = new(trouble)
	}
	return c.troubles
}

// overcome forgets the failures of renewals, and all troubles if there are no others. The caller
// holds mu.
func (c *Connection) overcome(now time.Time) {
	t := c.troubles
	if t == nil {
		return
	}
	t.lastErr, t.failedSince, t.failures = nil, time.Time{}, 0
	t.retryAt, t.retryAfter = time.Time{}, time.Time{}
	if now.After(t.storageDownUntil) && now.After(t.suspectUntil) && t.forced.at.IsZero() && t.endAwaited == 0 &&
		t.connectFailed == nil && t.refusedGeneration == 0 {
		c.troubles = nil
	}
}

// clearFailures lets the next renewal start at once, unless the provider has asked for patience:
// a new configuration may have corrected what was wrong.
func (c *Connection) clearFailures() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.troubles; t != nil {
		t.failures, t.retryAt = 0, t.retryAfter
	}
	if c.operation == nil {
		c.notBefore.Store(unixNano(c.trouble().retryAt))
	}
}

// startOver forgets all failures: they belong to a grant that has been replaced.
func (c *Connection) startOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.troubles; t != nil {
		t.connectFailed, t.refusedGeneration = nil, 0
	}
	c.overcome(time.Now())
	c.endTold.Store(false)
}

// forgive forgets the failures of this process: another node has succeeded.
func (c *Connection) forgive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endTold.Store(false)
	if c.operation != nil {
		return
	}
	if t := c.troubles; t != nil {
		t.lastErr, t.failedSince, t.failures, t.retryAt = nil, time.Time{}, 0, time.Time{}
	}
	c.notBefore.Store(0)
}

// noteSlowWrite notes that for the time wait a slow write of ours may lie over what another node
// has written. from is when the reading began on which the write rests; it is the zero time if
// the write may still be under way.
func (c *Connection) noteSlowWrite(from time.Time, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, t := time.Now(), c.troubled()
	if !now.Before(t.suspectUntil) || from.Before(t.suspectFrom) {
		t.suspectFrom = from
	}
	t.suspectUntil = now.Add(wait)
}

// suspectSince reports whether the result of a reading may be a slow write of ours. It returns
// since when another node may have written what that write covers; read is when the reading
// began.
func (c *Connection) suspectSince(read time.Time) (from time.Time, suspect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.trouble()
	if suspect = time.Now().Before(t.suspectUntil); suspect && t.suspectFrom.Before(read) {
		return t.suspectFrom, true
	}
	return read, suspect
}

// refusedBefore reports whether the provider has refused the refresh token of a generation after
// the access token had ended.
func (c *Connection) refusedBefore(generation uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble().refusedGeneration == generation
}

// noteRefusal notes that the provider has refused the refresh token of a generation, whose
// access token has ended.
func (c *Connection) noteRefusal(generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.troubled(); t.refusedGeneration != generation {
		// Failures from the time when the access token was valid do not count any more.
		t.refusedGeneration, t.failures = generation, 0
	}
}
