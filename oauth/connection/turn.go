// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"sync"
)

// turn is a mutex that is held while a storage is used, which may take long. Those who wait do so
// at a channel each, in place of a sync.Mutex, for two reasons: a waiter can give up when its
// context ends, and testing/synctest knows that the waiter is blocked. There may be a million
// turns, so one for which nobody waits has no channel.
type turn struct {
	mu    sync.Mutex
	first *waiter // in the order in which they came
	held  bool
}

// waiter is one who waits for a turn.
type waiter struct {
	come chan struct{} // closed when it has the turn
	next *waiter
}

// Lock implements sync.Locker.
func (t *turn) Lock() { _ = t.lock(context.Background()) }

// lock is Lock for a caller whose time is bounded: a storage that hangs must not keep an
// operation beyond the time that the operation has. If lock returns an error, the lock is not
// held.
func (t *turn) lock(ctx context.Context) error {
	w := t.wait()
	if w == nil {
		return nil
	}
	select {
	case <-w.come:
		return nil
	case <-ctx.Done():
		t.leave(w)
		return context.Cause(ctx)
	}
}

// wait takes the turn if nobody holds it, and queues up otherwise.
func (t *turn) wait() *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.held {
		t.held = true
		return nil
	}
	last := &t.first
	for *last != nil {
		last = &(*last).next
	}
	*last = &waiter{come: make(chan struct{})}
	return *last
}

// leave takes a waiter out of the queue. If its turn has come meanwhile, the next one has it.
func (t *turn) leave(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := &t.first; *at != nil; at = &(*at).next {
		if *at == w {
			*at = w.next
			return
		}
	}
	t.pass()
}

// Unlock implements sync.Locker.
func (t *turn) Unlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass gives the turn to the first who waits. The caller holds mu.
func (t *turn) pass() {
	if t.first == nil {
		t.held = false
		return
	}
	close(t.first.come)
	t.first = t.first.next
}
