// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// State is what is known of a connection. It outlives configurations, so what it does with
// a token needs nothing that belongs to one: no storage, no client, no logger, no context.
type Connection struct {
	token atomic.Pointer[record.Token]

	// notBefore is the earliest time of the next renewal, in Unix nanoseconds: a copy of what mu guards,
	// for requests whose token is valid and near its end. They need not take mu.
	notBefore atomic.Int64

	// recheckAt is when the record is read again, in Unix nanoseconds: another node may have written it.
	// It is 0 for client_credentials, whose records nobody waits for.
	recheckAt atomic.Int64

	// source is the source that was made last. It belongs to one configuration.
	source atomic.Pointer[Source]

	used atomic.Bool // since the pool last looked for connections to forget

	mu                sync.Mutex
	operation         *operation    // the renewal, or the other exclusive work, that is under way
	rechecking        *operation    // the reading of the record that is under way
	storageDownUntil  time.Time     // until then no request waits for the storage, which has failed
	failures          int           // how many renewals in a row have failed
	retryAt           time.Time     // the earliest time of the next renewal
	retryAfter        time.Time     // the same, where the provider has named it (Retry-After)
	lastErr           error         // of the last renewal
	forced            forced        // brakes the renewals that the API's refusals cause
	refusedGeneration uint64        // whose refresh token the provider has refused since the access token ended; 0: none
	endAwaited        uint64        // the generation for whose end a timer runs; 0: none
	unsaved           *record.Token // a token that the storage does not have yet
	owner             string        // names this process in claims

	// Until suspectUntil a slow write of ours may lie over what another node has written since suspectFrom.
	// The zero suspectFrom stands for any time. mu guards both.
	suspectUntil, suspectFrom time.Time

	records turn      // held while the record is read, which may move it, and while it is written
	seen    time.Time // since when the token is known; under records

	connectedHere string // the grant that this process has connected; under mu
}

// current returns the token in use, or nil.
func (st *Connection) current() *record.Token {
	if st == nil {
		return nil
	}
	return st.token.Load()
}

// secrets returns the tokens in use.
func (st *Connection) secrets() []string { return st.current().Secrets() }

// noteSlowWrite notes that something was written too late, on a reading that began then, or may still be, which is the zero time.
func (st *Connection) noteSlowWrite(from time.Time, wait time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if !now.Before(st.suspectUntil) || from.Before(st.suspectFrom) {
		st.suspectFrom = from
	}
	st.suspectUntil = now.Add(wait)
}

// suspectSince reports whether what is read on a reading may be what was written too late, and since when others may have written what lies
// below that.
func (st *Connection) suspectSince(read time.Time) (from time.Time, late bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if late = time.Now().Before(st.suspectUntil); late && st.suspectFrom.Before(read) {
		return st.suspectFrom, true
	}
	return read, late
}

// clearFailures lets the next renewal start at once, unless the provider has asked for patience: a new configuration may have
// mended what was wrong.
func (st *Connection) clearFailures() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.failures, st.retryAt = 0, st.retryAfter
	if st.operation == nil {
		st.notBefore.Store(unixNano(st.retryAt))
	}
}

// startOver forgets what has failed: it was of a grant that is no more.
func (st *Connection) startOver() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lastErr, st.failures, st.retryAt, st.retryAfter, st.refusedGeneration = nil, 0, time.Time{}, time.Time{}, 0
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// noteGrant notes the grant that this process puts into the place of what was there, "" if that has failed.
func (st *Connection) noteGrant(grant string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.connectedHere = grant
}

// owing reports whether a token is not stored yet.
func (st *Connection) owing() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.unsaved != nil
}

// forgive forgets what has failed here: another node has succeeded.
func (st *Connection) forgive() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.operation == nil {
		st.lastErr, st.failures, st.retryAt = nil, 0, time.Time{}
		st.notBefore.Store(0)
	}
}

// name returns what claims of this process call their owner.
func (st *Connection) name() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.owner == "" {
		st.owner = rand.Text()
	}
	return st.owner
}

// turn is a mutex that is held while a storage is used, which may take long. Unlike of a sync.Mutex, testing/synctest knows who
// waits for it.
type turn struct {
	once sync.Once
	held chan struct{}
}

// Lock implements sync.Locker.
func (t *turn) Lock() { _ = t.lock(context.Background()) }

// lock is Lock for who has no more time than a context: a storage that hangs must not keep a operation beyond its own. With an error
// the lock is not held.
func (t *turn) lock(ctx context.Context) error {
	t.once.Do(func() { t.held = make(chan struct{}, 1) })
	select {
	case t.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Unlock implements sync.Locker.
func (t *turn) Unlock() { <-t.held }

// busy reports whether something is under way that must not be forgotten.
func (st *Connection) busy() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.operation != nil || st.rechecking != nil || st.unsaved != nil
}

// inUse returns what is known here of the token of a record: its end is counted by a clock that nobody sets, and
// it may be known here alone that the API and the provider have refused it.
func (st *Connection) inUse(stored *record.Token) *record.Token {
	if token := st.token.Load(); token != nil && token.Generation == stored.Generation && token.Access == stored.Access {
		return token
	}
	return stored
}

// refusedBefore reports whether the provider has refused the refresh token of a generation, whose access
// token had ended.
func (st *Connection) refusedBefore(generation uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.refusedGeneration == generation
}

// noteRefusal notes that the provider has refused the refresh token of a generation, whose access token
// has ended.
func (st *Connection) noteRefusal(generation uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.refusedGeneration != generation {
		st.refusedGeneration, st.failures = generation, 0 // what failed while the access token was valid is over
	}
}
