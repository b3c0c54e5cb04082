// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"sync"
)

// turn is a mutex that is held while a storage is used, which may take long. A channel is used
// in place of a sync.Mutex for two reasons: a waiter can give up when its context ends, and
// testing/synctest knows that the waiter is blocked.
type turn struct {
	once sync.Once
	held chan struct{}
}

// Lock implements sync.Locker.
func (t *turn) Lock() { _ = t.lock(context.Background()) }

// lock is Lock for a caller whose time is bounded: a storage that hangs must not keep an
// operation beyond the time that the operation has. If lock returns an error, the lock is not
// held.
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
