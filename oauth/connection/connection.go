// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Connection is what this process knows of a connection. It outlives reloads. Its fields belong
// to no configuration, except source.
type Connection struct {
	token atomic.Pointer[record.Token] // in use; nil while nothing is known

	// notBefore is retryAt in Unix nanoseconds, or the far future while an operation is under
	// way. Requests whose token is valid and near its end read it, so that they need not take
	// mu.
	notBefore atomic.Int64

	// recheckAt is when the record is read again, in Unix nanoseconds, because another node may
	// have written it. It is 0 for client_credentials, whose records nobody waits for.
	recheckAt atomic.Int64

	// source is the newest source. It belongs to one configuration.
	source atomic.Pointer[Source]

	used atomic.Bool // since the pool last looked for connections to forget

	endTold atomic.Bool // that the account must be connected again; see tellEnd

	// storing is held while the record is read, which may move the record, and while it is
	// written.
	storing turn
	seen    time.Time // since when the token is known; storing guards it

	mu               sync.Mutex     // guards what follows
	operation        *operation     // the work that is under way, such as a renewal; or nil
	rechecking       *operation     // the reading of the record that is under way; or nil
	storageDownUntil time.Time      // until then no request waits for the storage
	failures         int            // how many renewals in a row have failed
	retryAt          time.Time      // the earliest time of the next renewal
	retryAfter       time.Time      // the same, if the provider has named it (Retry-After)
	lastErr          error          // the error of the last renewal
	failedSince      time.Time      // when the first of the renewals failed that have failed since a success
	forced           forced         // brakes the renewals that the API's refusals cause
	endAwaited       uint64         // the generation for whose end a timer runs; 0: none
	unsaved          *record.Token  // a token that the storage does not have yet
	owner            string         // names this process in claims
	connectedHere    string         // the grant that this process has connected
	connectFailed    *FailedConnect // the last attempt to connect an account, if it has failed

	// refusedGeneration is the generation whose refresh token the provider has refused since its
	// access token ended; 0: none.
	refusedGeneration uint64

	// Until suspectUntil, a slow write of ours may lie over what another node has written since
	// suspectFrom. The zero suspectFrom stands for any time.
	suspectUntil, suspectFrom time.Time
}

// current returns the token in use, or nil.
func (c *Connection) current() *record.Token {
	if c == nil {
		return nil
	}
	return c.token.Load()
}

// secrets returns the tokens in use.
func (c *Connection) secrets() []string { return c.current().Secrets() }

// noteSlowWrite notes that for the time wait a slow write of ours may lie over what another node
// has written. from is when the reading began on which the write rests; it is the zero time if
// the write may still be under way.
func (c *Connection) noteSlowWrite(from time.Time, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !now.Before(c.suspectUntil) || from.Before(c.suspectFrom) {
		c.suspectFrom = from
	}
	c.suspectUntil = now.Add(wait)
}

// suspectSince reports whether the result of a reading may be a slow write of ours. It returns
// since when another node may have written what that write covers; read is when the reading
// began.
func (c *Connection) suspectSince(read time.Time) (from time.Time, suspect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if suspect = time.Now().Before(c.suspectUntil); suspect && c.suspectFrom.Before(read) {
		return c.suspectFrom, true
	}
	return read, suspect
}

// clearFailures lets the next renewal start at once, unless the provider has asked for patience:
// a new configuration may have corrected what was wrong.
func (c *Connection) clearFailures() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.retryAt = 0, c.retryAfter
	if c.operation == nil {
		c.notBefore.Store(unixNano(c.retryAt))
	}
}

// startOver forgets all failures: they belong to a grant that has been replaced.
func (c *Connection) startOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastErr, c.failedSince, c.failures, c.refusedGeneration = nil, time.Time{}, 0, 0
	c.retryAt, c.retryAfter = time.Time{}, time.Time{}
	c.connectFailed = nil
	c.endTold.Store(false)
}

// forgive forgets the failures of this process: another node has succeeded.
func (c *Connection) forgive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endTold.Store(false)
	if c.operation == nil {
		c.lastErr, c.failedSince, c.failures, c.retryAt = nil, time.Time{}, 0, time.Time{}
		c.notBefore.Store(0)
	}
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// noteGrant notes the grant that this process connects, or "" if another grant counts.
func (c *Connection) noteGrant(grant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connectedHere = grant
}

// owing reports whether a token is not stored yet.
func (c *Connection) owing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaved != nil
}

// name returns the owner that claims of this process have.
func (c *Connection) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == "" {
		c.owner = rand.Text()
	}
	return c.owner
}

// busy reports whether work is under way, or a token unsaved, so that the connection must stay
// in memory.
func (c *Connection) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.operation != nil || c.rechecking != nil || c.unsaved != nil
}

// inUse returns the token in memory if it is the token of the record stored, and stored
// otherwise. The end of the token in memory is counted by a clock that nobody sets, and this
// process alone may know that the API and the provider have refused it.
func (c *Connection) inUse(stored *record.Token) *record.Token {
	if token := c.token.Load(); token != nil && token.Generation == stored.Generation && token.Access == stored.Access {
		return token
	}
	return stored
}

// refusedBefore reports whether the provider has refused the refresh token of a generation after
// the access token had ended.
func (c *Connection) refusedBefore(generation uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusedGeneration == generation
}

// noteRefusal notes that the provider has refused the refresh token of a generation, whose
// access token has ended.
func (c *Connection) noteRefusal(generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusedGeneration != generation {
		// Failures from the time when the access token was valid do not count any more.
		c.refusedGeneration, c.failures = generation, 0
	}
}
