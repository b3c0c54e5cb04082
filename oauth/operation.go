// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// operation is a renewal that is under way. It belongs to no request: whoever waits for it may leave.
type operation struct {
	by    *Source
	began time.Time
	done  chan struct{}
	err   error // may be read when done is closed

	// renewal says that it gets a new token, or fails to. Others do something else that nothing must get in the way of.
	renewal bool
}

// completed is a renewal that is over.
var completed = func() *operation {
	f := &operation{done: make(chan struct{})}
	close(f.done)
	return f
}()

// start starts a operation. The state's mu is held, and no other operation is under way.
func (s *Source) start(renewal bool, do func(context.Context) error) *operation {
	f := &operation{by: s, began: time.Now(), renewal: renewal, done: make(chan struct{})}
	s.conn.operation = f
	s.conn.notBefore.Store(math.MaxInt64)
	go s.run(f, do)
	return f
}

// alone makes a operation of do, after the one that is under way. It returns the error of do, or that ctx has ended before.
func (s *Source) exclusively(ctx context.Context, do func(context.Context) error) error {
	return s.runNext(ctx, false, do)
}

// renewNow is renew that waits for its own renewal, whatever is known of the token in use.
func (s *Source) renewNow(ctx context.Context) error {
	return s.runNext(ctx, true, func(ctx context.Context) error { return s.renewToken(ctx, nil) })
}

func (s *Source) runNext(ctx context.Context, renewal bool, do func(context.Context) error) error {
	for {
		s.conn.mu.Lock()
		f := s.conn.operation
		if f == nil {
			f = s.start(renewal, do) //nolint:contextcheck // a operation belongs to no request
			s.conn.mu.Unlock()
			<-f.done
			return f.err
		}
		s.conn.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run is a renewal. No request's context ends it, nor that of a configuration: on a reload Caddy cancels the old one's while
// requests still go on.
func (s *Source) run(f *operation, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.set.life)
	defer cancel()
	s.set.pool.retain(s.records.store.connection, s.conn)
	err := safely(knowing(ctx, func() []string { return s.conn.current().texts() }), do)

	st := s.conn
	now := time.Now()
	st.mu.Lock()
	st.operation, f.err = nil, err
	if !f.renewal { // that says nothing of renewals
		st.notBefore.Store(unixNano(st.retryAt))
		st.mu.Unlock()
		close(f.done)
		return
	}
	st.lastErr = err
	st.retryAt, st.retryAfter = time.Time{}, time.Time{}
	_, human := errors.AsType[*AuthorizationError](err)
	if err == nil || human {
		st.failures = 0 // nothing is mended by asking the provider again
	} else {
		st.failures++
		st.retryAt = now.Add(s.pause(err, f.began, st.failures, now))
		if e, ok := errors.AsType[*Error](err); ok {
			if later := s.asks(e, now); later.After(st.retryAt) {
				st.retryAt, st.retryAfter = later, later
			}
			e.Retry = st.retryAt
		}
	}
	wait := st.retryAt.Sub(now)
	st.notBefore.Store(unixNano(st.retryAt))
	st.mu.Unlock()
	close(f.done)
	if err != nil {
		s.log(err, wait)
	}
}

// safely is do without its panics: a storage module's would end Caddy, since no server's recover is above here.
func safely(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Err: fmt.Errorf("renewing the token panicked with a %T", r)} // its value may hold anything
		}
	}()
	return do(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
