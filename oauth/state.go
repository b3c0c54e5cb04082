// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// State is what is known of a connection. It outlives configurations, so what it does with
// a token needs nothing that belongs to one: no storage, no client, no logger, no context.
type State struct {
	token atomic.Pointer[Token]

	// quiet is until when no renewal can start, in Unix nanoseconds: requests with a token near its end, but valid, look at it
	// and need not take mu.
	quiet atomic.Int64

	// look is when the record is to be read again, in Unix nanoseconds, since another node may have written it; 0 for tokens
	// that can be had again, whose records nobody waits for.
	look atomic.Int64

	// source is the one that was made last. It belongs to a configuration, which must be compared.
	source atomic.Pointer[Source]

	used atomic.Bool // since the last search for what can be forgotten

	mu       sync.Mutex
	flight   *flight   // the renewal that is under way
	looking  *flight   // the reading of the record that is under way
	blind    time.Time // nobody waits for the record before: the storage has failed
	failures int       // in a row
	retry    time.Time // no renewal before
	asked    time.Time // the same, where the provider has asked for it
	err      error     // of the last renewal
	forced   forced    // the renewals that refusals of the API have caused
	refused  uint64    // the generation that the provider has refused since its access token ended; 0: none
	atEnd    uint64    // the generation for whose end a timer runs; 0: none
	unsaved  *Token    // a token that could not be stored
	owner    string    // names this process in claims

	// Until late, what was written too late may lie over what another node has written since lateFrom, the zero time if nobody knows
	// since when; both under mu.
	late, lateFrom time.Time

	records turn      // held while the record is read, which may move it, and while it is written
	seen    time.Time // since when the token is known; under records

	installed string // the grant that was put here by this process; under mu
}

// current returns the token in use, or nil.
func (st *State) current() *Token {
	if st == nil {
		return nil
	}
	return st.token.Load()
}

// beLate notes that something was written too late, on a reading that began then, or may still be, which is the zero time.
func (st *State) beLate(from time.Time, wait time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if !now.Before(st.late) || from.Before(st.lateFrom) {
		st.lateFrom = from
	}
	st.late = now.Add(wait)
}

// lateSince reports whether what is read on a reading may be what was written too late, and since when others may have written what lies
// below that.
func (st *State) lateSince(read time.Time) (from time.Time, late bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if late = time.Now().Before(st.late); late && st.lateFrom.Before(read) {
		return st.lateFrom, true
	}
	return read, late
}

// clearFailures lets the next renewal start at once, unless the provider has asked for patience: a new configuration may have
// mended what was wrong.
func (st *State) clearFailures() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.failures, st.retry = 0, st.asked
	if st.flight == nil {
		st.quiet.Store(unixNano(st.retry))
	}
}

// startOver forgets what has failed: it was of a grant that is no more.
func (st *State) startOver() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.err, st.failures, st.retry, st.asked, st.refused = nil, 0, time.Time{}, time.Time{}, 0
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// install notes the grant that this process puts into the place of what was there, "" if that has failed.
func (st *State) install(grant string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.installed = grant
}

// owing reports whether a token is not stored yet.
func (st *State) owing() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.unsaved != nil
}

// forgive forgets what has failed here: another node has succeeded.
func (st *State) forgive() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.flight == nil {
		st.err, st.failures, st.retry = nil, 0, time.Time{}
		st.quiet.Store(0)
	}
}

// name returns what claims of this process call their owner.
func (st *State) name() string {
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

// lock is Lock for who has no more time than a context: a storage that hangs must not keep a flight beyond its own. With an error
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
