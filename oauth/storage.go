// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"

	"github.com/caddyserver/certmagic"
)

// maxUses is how many uses of the storage are under way at a time, for one datasource. One that hangs keeps its place, since it keeps
// a goroutine, and in a file system a thread: Go ends a process that has ten thousand of those.
const (
	maxUses   = 512
	maxWrites = 128 // which have places of their own: reads that hang must not keep a new token from being stored
)

// places has a place for each use of the storage that is under way. Nil ones are without bound.
type places struct{ reads, writes chan struct{} }

func newPlaces() places {
	return places{make(chan struct{}, maxUses), make(chan struct{}, maxWrites)}
}

// impatient is a storage of which nobody waits beyond the end of a context: a file system that hangs knows no contexts.
type impatient struct {
	certmagic.Storage

	places places
}

// Store implements certmagic.Storage.
func (s impatient) Store(ctx context.Context, key string, val []byte) error {
	_, err := within(ctx, s.places.writes, func() (struct{}, error) { return struct{}{}, s.Storage.Store(ctx, key, val) })
	return err
}

// Load implements certmagic.Storage.
func (s impatient) Load(ctx context.Context, key string) ([]byte, error) {
	return within(ctx, s.places.reads, func() ([]byte, error) { return s.Storage.Load(ctx, key) })
}

// Delete implements certmagic.Storage.
func (s impatient) Delete(ctx context.Context, key string) error {
	_, err := within(ctx, s.places.writes, func() (struct{}, error) { return struct{}{}, s.Storage.Delete(ctx, key) })
	return err
}

// List implements certmagic.Storage.
func (s impatient) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	return within(ctx, s.places.reads, func() ([]string, error) { return s.Storage.List(ctx, prefix, recursive) })
}

// Stat implements certmagic.Storage.
func (s impatient) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	return within(ctx, s.places.reads, func() (certmagic.KeyInfo, error) { return s.Storage.Stat(ctx, key) })
}

// Lock implements certmagic.Storage. Who gets the lock too late gives it back.
func (s impatient) Lock(ctx context.Context, name string) error {
	_, err := within(ctx, s.places.reads, func() (struct{}, error) {
		err := s.Storage.Lock(ctx, name)
		if err == nil && ctx.Err() != nil {
			err = s.Storage.Unlock(context.WithoutCancel(ctx), name)
		}
		return struct{}{}, err
	})
	return err
}

// Unlock implements certmagic.Storage.
func (s impatient) Unlock(ctx context.Context, name string) error {
	_, err := within(ctx, s.places.writes, func() (struct{}, error) { return struct{}{}, s.Storage.Unlock(ctx, name) })
	return err
}

// within returns what use returns, or the error of ctx if that ends first. use goes on then, until it returns.
func within[T any](ctx context.Context, free chan struct{}, use func() (T, error)) (T, error) {
	type result struct {
		val T
		err error
	}
	if free != nil {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if free != nil {
				<-free
			}
			if p := recover(); p != nil { // a storage module's panic would end Caddy here
				r.err = fmt.Errorf("the storage panicked with a %T", p)
			}
			done <- r
		}()
		r.val, r.err = use()
	}()
	select {
	case r := <-done:
		return r.val, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
