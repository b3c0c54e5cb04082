// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"math"
	weakrand "math/rand/v2"
	"time"

	"go.uber.org/zap"
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
	s.state.operation = f
	s.state.notBefore.Store(math.MaxInt64)
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
		s.state.mu.Lock()
		f := s.state.operation
		if f == nil {
			f = s.start(renewal, do) //nolint:contextcheck // a operation belongs to no request
			s.state.mu.Unlock()
			<-f.done
			return f.err
		}
		s.state.mu.Unlock()
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
	ctx, cancel := context.WithTimeout(context.Background(), s.life)
	defer cancel()
	s.method.connections.retain(s.store.connection, s.state)
	err := safely(knowing(ctx, func() []string { return s.state.current().texts() }), do)

	st := s.state
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

const (
	// lastChance is how long before the token expires there is another attempt, whatever the back-off is by then.
	lastChance = 5 * time.Second

	// maxBackoffWithout is the longest back-off while there is no valid token: the provider may be back, and callers are there.
	maxBackoffWithout = time.Minute
)

// refusedShift makes the back-off begin at a minute while the provider refuses the refresh token and the access token is valid.
const refusedShift = 6

// pause is how long no renewal starts after a failure. It never goes beyond the end of a valid token: the provider is asked again
// then, whatever it has said before. began is when the renewal did that has failed. The state's mu is held.
func (s *Source) pause(err error, began time.Time, failures int, now time.Time) time.Duration {
	jitter := weakrand.Float64() //nolint:gosec // G404: a jitter is no secret
	refused := s.redeem != nil && judge(err).refusal()
	longest := maxBackoff
	token := s.state.token.Load()
	if token.valid(now) {
		left := token.expiry.Sub(now)
		switch {
		case token.expiry.IsZero() && refused:
			return backoff(failures, maxBackoffWithout, jitter) // its end is when the API refuses it
		case token.expiry.IsZero():
			return backoff(failures, longest, jitter)
		case refused:
			failures, longest = failures+refusedShift, maxBackoffRefused
		}
		if left > lastChance+minBackoff {
			left -= lastChance
		}
		return min(backoff(failures, longest, jitter), left)
	}
	switch {
	case !refused:
		longest = maxBackoffWithout
	case token != nil && s.state.refusedGeneration != token.generation && began.Before(token.expiry):
		return 0 // it was of the token while that was valid
	}
	return backoff(failures, longest, jitter)
}

// asks returns when the provider asks to come again. That is not beyond the end of a valid token whose renewal it refuses: what it
// says then decides about the grant.
func (s *Source) asks(e *Error, now time.Time) time.Time {
	later := now.Add(min(maxRetryAfter, e.Retry.Sub(now)))
	if token := s.state.token.Load(); s.redeem != nil && judge(e).refusal() && token.valid(now) && !token.expiry.IsZero() && token.expiry.Before(later) {
		return token.expiry
	}
	return later
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

// log tells an operator what failed and what to do. What the provider has written is in it as describe returns it.
func (s *Source) log(err error, wait time.Duration) {
	if e, ok := errors.AsType[*AuthorizationError](err); ok {
		s.logAuthorization(e)
		return
	}
	fields := []zap.Field{zap.Duration("next_attempt_in", wait.Round(time.Millisecond))}
	if e, ok := errors.AsType[*Error](err); ok {
		fields = append(fields, zap.String("token_endpoint", e.Host), zap.Int("status", e.Status),
			zap.String("oauth_error", e.Code), zap.String("remedy", e.Remedy()))
		if e.Description != "" {
			fields = append(fields, zap.String("error_description", e.Description))
		}
		if e.Err != nil {
			fields = append(fields, zap.NamedError("cause", e.Err))
		}
	} else {
		fields = append(fields, zap.Error(err))
	}
	if token := s.state.token.Load(); token.valid(time.Now()) {
		s.logger.Warn("renewing the token failed; the old one is still valid", fields...)
		return
	}
	s.logger.Error("there is no valid token, and none could be obtained", fields...)
}

// logAuthorization tells that a human being is needed. That nobody has connected an account yet is no news.
func (s *Source) logAuthorization(e *AuthorizationError) {
	if e.Reason == ReasonNotConnected || e.Reason == ReasonDisconnected {
		return
	}
	fields := []zap.Field{zap.String("reason", e.Reason), zap.String("oauth_error", e.Code), zap.String("console", s.method.Console())}
	if e.Description != "" {
		fields = append(fields, zap.String("error_description", e.Description))
	}
	if s.state.token.Load().valid(time.Now()) {
		s.logger.Warn("the account must be connected again before the token expires", fields...)
		return
	}
	s.logger.Error("the account must be connected again", fields...)
}
