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

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// flight is a renewal that is under way. It belongs to no request: whoever waits for it may leave.
type flight struct {
	by    *Source
	began time.Time
	done  chan struct{}
	err   error // may be read when done is closed

	// renewal says that it gets a new token, or fails to. Others do something else that nothing must get in the way of.
	renewal bool
}

// landed is a renewal that is over.
var landed = func() *flight {
	f := &flight{done: make(chan struct{})}
	close(f.done)
	return f
}()

// start starts a flight. The state's mu is held, and no other flight is under way.
func (s *Source) start(renewal bool, do func(context.Context) error) *flight {
	f := &flight{by: s, began: time.Now(), renewal: renewal, done: make(chan struct{})}
	s.state.flight = f
	s.state.quiet.Store(math.MaxInt64)
	go s.fly(f, do)
	return f
}

// alone makes a flight of do, after the one that is under way. It returns the error of do, or that ctx has ended before.
func (s *Source) alone(ctx context.Context, do func(context.Context) error) error {
	return s.after(ctx, false, do)
}

// renewNow is renew that waits for its own renewal, whatever is known of the token in use.
func (s *Source) renewNow(ctx context.Context) error {
	return s.after(ctx, true, func(ctx context.Context) error { return s.obtain(ctx, nil) })
}

func (s *Source) after(ctx context.Context, renewal bool, do func(context.Context) error) error {
	for {
		s.state.mu.Lock()
		f := s.state.flight
		if f == nil {
			f = s.start(renewal, do) //nolint:contextcheck // a flight belongs to no request
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

// fly is a renewal. No request's context ends it, nor that of a configuration: on a reload Caddy cancels the old one's while
// requests still go on.
func (s *Source) fly(f *flight, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.life)
	defer cancel()
	s.method.connections.retain(s.store.connection, s.state)
	err := safely(ctx, do)

	st := s.state
	now := time.Now()
	st.mu.Lock()
	st.flight, f.err = nil, err
	if !f.renewal { // that says nothing of renewals
		st.quiet.Store(unixNano(st.retry))
		st.mu.Unlock()
		close(f.done)
		return
	}
	st.err = err
	st.retry, st.asked = time.Time{}, time.Time{}
	_, human := errors.AsType[*AuthorizationError](err)
	if err == nil || human {
		st.failures = 0 // nothing is mended by asking the provider again
	} else {
		st.failures++
		st.retry = now.Add(s.pause(err, f.began, st.failures, now))
		if e, ok := errors.AsType[*provider.Error](err); ok {
			if later := s.asks(e, now); later.After(st.retry) {
				st.retry, st.asked = later, later
			}
			e.Retry = st.retry
		}
	}
	wait := st.retry.Sub(now)
	st.quiet.Store(unixNano(st.retry))
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
	case token != nil && s.state.refused != token.generation && began.Before(token.expiry):
		return 0 // it was of the token while that was valid
	}
	return backoff(failures, longest, jitter)
}

// asks returns when the provider asks to come again. That is not beyond the end of a valid token whose renewal it refuses: what it
// says then decides about the grant.
func (s *Source) asks(e *provider.Error, now time.Time) time.Time {
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
			err = &provider.Error{Err: fmt.Errorf("renewing the token panicked with a %T", r)} // its value may hold anything
		}
	}()
	return do(ctx)
}

// log tells an operator what failed and what to do. What the provider has written is in it as Error.Description has it.
func (s *Source) log(err error, wait time.Duration) {
	if e, ok := errors.AsType[*AuthorizationError](err); ok {
		s.logAuthorization(e)
		return
	}
	fields := []zap.Field{zap.Duration("next_attempt_in", wait.Round(time.Millisecond))}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fields = append(fields, zap.Inline(e))
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
