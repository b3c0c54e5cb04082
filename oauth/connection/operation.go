// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// operation is work on a connection that excludes all other work on it: a renewal, a connect, a
// disconnect, the move of a record. It belongs to no request: whoever waits for it may leave.
type operation struct {
	by    *Source
	began time.Time
	done  chan struct{}
	err   error // may be read when done is closed

	// renewal says that the operation gets a new token, or fails to. What became of other
	// operations says nothing of renewals.
	renewal bool

	// span is that of the request that has started the operation, if it is traced. The spans of
	// the operation's token requests are its children, in whatever time they end.
	span trace.SpanContext
}

// traceWait has the trace of a request that waits for the operation lead to the trace where its
// token request is: that of the request that has started it.
func (op *operation) traceWait(ctx context.Context) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() || !op.span.IsValid() || op.span.Equal(span.SpanContext()) {
		return
	}
	span.AddLink(trace.Link{SpanContext: op.span})
	span.AddEvent("authenticated_api.waits_for_token_request_of_another")
}

// completed is an operation that has ended: it stands for a renewal that somebody else has made
// since the caller looked, so whoever waits for it looks again.
var completed = func() *operation {
	op := &operation{done: make(chan struct{})}
	close(op.done)
	return op
}()

// start starts an operation for whoever has ctx. The caller holds conn.mu, and no other operation
// is under way.
func (s *Source) start(ctx context.Context, renewal bool, do func(context.Context) error) *operation {
	op := &operation{by: s, began: time.Now(), renewal: renewal, done: make(chan struct{})}
	s.conn.operation = op
	s.conn.notBefore.Store(math.MaxInt64)
	span := trace.SpanFromContext(ctx)
	op.span = span.SpanContext()
	go s.run(trace.ContextWithSpan(context.Background(), span), op, do) //nolint:contextcheck // an operation belongs to no request
	return op
}

// exclusively runs do as an operation, after the one that is under way. It returns the error of
// do, or that ctx has ended before do could start.
func (s *Source) exclusively(ctx context.Context, do func(context.Context) error) error {
	return s.runNext(ctx, false, do)
}

// runNext is exclusively, and renewal says whether the operation is a renewal.
func (s *Source) runNext(ctx context.Context, renewal bool, do func(context.Context) error) error {
	for {
		s.conn.mu.Lock()
		op := s.conn.operation
		if op == nil {
			op = s.start(ctx, renewal, do)
			s.conn.mu.Unlock()
			<-op.done
			return op.err
		}
		s.conn.mu.Unlock()
		select {
		case <-op.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run runs an operation. ctx is that of no request, which would end it, nor that of a
// configuration: on a reload Caddy cancels the old configuration's context while requests go on.
func (s *Source) run(ctx context.Context, op *operation, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.set.life)
	defer cancel()
	s.set.pool.retain(s.conn)
	err := safely(ctx, do)

	conn := s.conn
	conn.mu.Lock()
	conn.operation, op.err = nil, err
	var wait time.Duration
	news := op.renewal
	if op.renewal {
		news = !stillHeld(conn.trouble().lastErr, err)
		wait = s.noteRenewal(op, err)
	}
	conn.notBefore.Store(unixNano(conn.trouble().retryAt))
	conn.mu.Unlock()
	s.set.pool.tally.note(s.records().store.Connection, stateInMemory(s))
	close(op.done)
	if news {
		tellRenewal(s, err)
	}
	if news && err != nil {
		logFailure(s.set, conn.token.Load(), err, wait)
	}
}

// noteRenewal notes what became of a renewal, and returns how long none starts. The caller holds
// conn.mu.
func (s *Source) noteRenewal(op *operation, err error) time.Duration {
	conn, now := s.conn, time.Now()
	if err == nil {
		conn.overcome(now)
		return 0
	}
	trouble := conn.troubled()
	if trouble.lastErr == nil {
		trouble.failedSince = now
	}
	trouble.lastErr = err
	trouble.retryAt, trouble.retryAfter = time.Time{}, time.Time{}
	if _, human := errors.AsType[*record.AuthorizationError](err); human {
		trouble.failures = 0 // only a person can help now, so the provider is not asked again
		return 0
	}
	trouble.failures++
	trouble.retryAt = now.Add(conn.pause(s.grant(), err, op.began, now))
	if e, ok := errors.AsType[*provider.Error](err); ok {
		if later := conn.retryTime(s.grant(), e, now); later.After(trouble.retryAt) {
			trouble.retryAt, trouble.retryAfter = later, later
		}
		e.Retry = trouble.retryAt
		if held, ok := errors.AsType[*heldError](err); ok && held.until.After(e.Retry) {
			e.Retry = held.until
		}
		return e.Retry.Sub(now)
	}
	return trouble.retryAt.Sub(now)
}

// safely runs do and turns a panic into an error. A panic of a storage module would end Caddy
// here, since no server's recover stands above.
func safely(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// Its value may hold anything.
			err = &provider.Error{Err: fmt.Errorf("renewing the token panicked with a %T", r)}
		}
	}()
	return do(ctx)
}

// sleep waits for a time, or returns why ctx has ended before.
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
