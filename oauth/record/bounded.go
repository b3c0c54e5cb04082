// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
)

// A hung call of a storage keeps its slot, because it keeps a goroutine and, on a file system, an
// OS thread; Go ends a process that has 10,000 threads.
const (
	MaxReads  = 512
	maxWrites = 128 // writes have slots of their own, so that hung reads do not keep a new token from being stored
)

// Slots bound the calls of one datasource's storage that are under way at a time. The zero Slots
// have no bound.
type Slots struct{ reads, writes chan struct{} }

// NewSlots returns slots that are free.
func NewSlots() Slots {
	return Slots{make(chan struct{}, MaxReads), make(chan struct{}, maxWrites)}
}

// InUse returns how many calls are under way.
func (s Slots) InUse() int { return len(s.reads) + len(s.writes) }

// Writing reports whether a write is under way.
func (s Slots) Writing() bool { return len(s.writes) > 0 }

// Bounded is a storage whose callers wait no longer than their context: a file system that hangs
// knows no contexts.
type Bounded struct {
	certmagic.Storage

	Slots Slots

	// Failed is told of each call that has failed; nil if nobody wants to know.
	Failed func()
}

// tell tells of a call that has failed. That there is no such record is no failure, and neither is
// that its caller has gone.
func (b Bounded) tell(err error) error {
	if err != nil && b.Failed != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, context.Canceled) {
		b.Failed()
	}
	return err
}

// Store implements certmagic.Storage.
func (b Bounded) Store(ctx context.Context, key string, val []byte) error {
	_, err := within(ctx, b.Slots.writes, func() (struct{}, error) { return struct{}{}, b.Storage.Store(ctx, key, val) })
	return b.tell(err)
}

// Load implements certmagic.Storage.
func (b Bounded) Load(ctx context.Context, key string) ([]byte, error) {
	raw, err := within(ctx, b.Slots.reads, func() ([]byte, error) { return b.Storage.Load(ctx, key) })
	return raw, b.tell(err)
}

// Delete implements certmagic.Storage.
func (b Bounded) Delete(ctx context.Context, key string) error {
	_, err := within(ctx, b.Slots.writes, func() (struct{}, error) { return struct{}{}, b.Storage.Delete(ctx, key) })
	return b.tell(err)
}

// List implements certmagic.Storage.
func (b Bounded) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	names, err := within(ctx, b.Slots.reads, func() ([]string, error) { return b.Storage.List(ctx, prefix, recursive) })
	return names, b.tell(err)
}

// Stat implements certmagic.Storage.
func (b Bounded) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	info, err := within(ctx, b.Slots.reads, func() (certmagic.KeyInfo, error) { return b.Storage.Stat(ctx, key) })
	return info, b.tell(err)
}

// Lock implements certmagic.Storage. A lock that comes too late is given back. Only the caller is
// told that it could not be had: it is a hint, and another node may have it.
func (b Bounded) Lock(ctx context.Context, name string) error {
	_, err := within(ctx, b.Slots.reads, func() (struct{}, error) {
		err := b.Storage.Lock(ctx, name)
		if err == nil && ctx.Err() != nil {
			err = b.Storage.Unlock(context.WithoutCancel(ctx), name)
		}
		return struct{}{}, err
	})
	return err
}

// Unlock implements certmagic.Storage.
func (b Bounded) Unlock(ctx context.Context, name string) error {
	_, err := within(ctx, b.Slots.writes, func() (struct{}, error) { return struct{}{}, b.Storage.Unlock(ctx, name) })
	return err
}

// within returns what call returns, or why ctx has ended before. Then the call goes on until it
// returns.
func within[T any](ctx context.Context, slots chan struct{}, call func() (T, error)) (T, error) {
	type result struct {
		val T
		err error
	}
	if slots != nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if slots != nil {
				<-slots
			}
			if p := recover(); p != nil { // a panic of a storage module would end Caddy here
				r.err = fmt.Errorf("the storage panicked with a %T", p)
			}
			done <- r
		}()
		r.val, r.err = call()
	}()
	select {
	case r := <-done:
		return r.val, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
