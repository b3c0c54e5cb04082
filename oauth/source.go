// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"math"
	weakrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// forcedInterval is the least time between two refreshes of a connection that refusals of the API have caused. Whoever
// reaches a path that always answers 401 could make us ask for a token with each request otherwise.
const forcedInterval = 10 * time.Second

// State is what is known of a connection. It outlives configurations, so it holds nothing that belongs to one: no
// storage, no client, no logger, no context.
type State struct {
	token atomic.Pointer[Token]

	// quiet is until when no renewal can start, in Unix nanoseconds: requests with a token near its end, but valid, look at it
	// and need not take mu.
	quiet atomic.Int64

	mu       sync.Mutex
	flight   *flight   // the renewal that is under way
	failures int       // in a row
	retry    time.Time // no renewal before
	asked    time.Time // the same, where the provider has asked for it
	err      error     // of the last renewal
	forced   time.Time // the last renewal that a refusal has caused

	records sync.Mutex // held while the record is read, which may move it, and while it is written
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

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// flight is a renewal that is under way. It belongs to no request: whoever waits for it may leave.
type flight struct {
	by   *Source
	done chan struct{}
}

// Source has the credentials of one connection, for one configuration.
type Source struct {
	state  *State
	fetch  func(context.Context) (*Token, error)
	store  *store
	build  func(*Token) *auth.Credential
	life   time.Duration // the longest that a renewal can take
	logger *zap.Logger

	prepared atomic.Pointer[prepared]
}

// prepared is a token with what is put on requests.
type prepared struct {
	token      *Token
	credential *auth.Credential
}

// Credential returns a credential. With a token that is not near its end that takes two atomic loads and a look at the
// clock; near its end the token is still good while a new one is fetched; only without a valid token a request waits.
func (s *Source) Credential(ctx context.Context) (*auth.Credential, error) {
	now := time.Now()
	token := s.state.token.Load()
	if p := s.prepared.Load(); p != nil && p.token == token && token.fresh(now) {
		return p.credential, nil
	}
	if token.valid(now) {
		if !token.fresh(now) && now.UnixNano() >= s.state.quiet.Load() {
			_, _ = s.renew(now, nil) //nolint:contextcheck // in the background; a failure does not harm the token
		}
		return s.prepare(token).credential, nil
	}
	return s.wait(ctx, now)
}

// wait returns a credential of the renewal that is under way, or of one that it starts.
func (s *Source) wait(ctx context.Context, now time.Time) (*auth.Credential, error) {
	f, err := s.renew(now, nil) //nolint:contextcheck // a renewal belongs to no request
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if token := s.state.token.Load(); token.valid(time.Now()) {
		return s.prepare(token).credential, nil
	}
	if f.by != s && f.by != nil {
		// It was made with a configuration that is no more, and failed; this one may be better.
		s.state.clearFailures()
		return s.wait(ctx, time.Now())
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.state.err == nil {
		return nil, &Error{Err: errors.New("the token has expired already when it came")}
	}
	return nil, s.state.err
}

// Current returns the credential that can be had without waiting, or nil.
func (s *Source) Current() *auth.Credential {
	if token := s.state.token.Load(); token.valid(time.Now()) {
		return s.prepare(token).credential
	}
	return nil
}

// Refresh renews the token that refused was made of, unless that has happened since: a late refusal of an old token says
// nothing of the new one. It returns refused if there is no newer one.
func (s *Source) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	now := time.Now()
	p := s.prepared.Load() // before the token: one that is renewed in between must not make the refused one look newer
	token := s.state.token.Load()
	if token.valid(now) && (p == nil || p.token != token || p.credential != refused) {
		return s.prepare(token).credential, nil
	}
	f, err := s.renew(now, token) //nolint:contextcheck // the same
	if f == nil {
		return refused, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	fresh := s.state.token.Load()
	if fresh != token && fresh.valid(time.Now()) {
		return s.prepare(fresh).credential, nil
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return refused, s.state.err
}

// prepare returns the credential of a token: the same one for the same token, since Refresh knows a token by it.
func (s *Source) prepare(token *Token) *prepared {
	for {
		p := s.prepared.Load()
		if p != nil && p.token == token {
			return p
		}
		fresh := &prepared{token, s.build(token)}
		if p != nil && p.token.generation > token.generation {
			return fresh // for a request that was slow: the token has been renewed since it looked
		}
		if s.prepared.CompareAndSwap(p, fresh) {
			return fresh
		}
	}
}

// renew returns the renewal that is under way, or starts one. refused is the token that the API has refused, nil if that
// is not the reason. It returns an error while none is to be started, after a failure; and neither if the refusal comes too
// soon after another.
func (s *Source) renew(now time.Time, refused *Token) (*flight, error) {
	st := s.state
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.flight != nil {
		return st.flight, nil
	}
	if token := st.token.Load(); refused == nil && token.fresh(now) || refused != nil && token != refused {
		return landed, nil // it has ended since the caller looked
	}
	if now.Before(st.retry) {
		return nil, st.err
	}
	if refused.fresh(now) { // else it would be renewed anyway
		if now.Before(st.forced.Add(forcedInterval)) && !st.forced.IsZero() {
			return nil, nil
		}
		st.forced = now
	}
	st.flight = &flight{s, make(chan struct{})}
	st.quiet.Store(math.MaxInt64)
	go s.fly(st.flight, refused)
	return st.flight, nil
}

// landed is a renewal that is over.
var landed = func() *flight {
	f := &flight{done: make(chan struct{})}
	close(f.done)
	return f
}()

// fly is a renewal. No request's context ends it, nor that of a configuration: on a reload Caddy cancels the old one's while
// requests still go on.
func (s *Source) fly(f *flight, refused *Token) {
	ctx, cancel := context.WithTimeout(context.Background(), s.life)
	defer cancel()
	err := s.obtainSafely(ctx, refused)

	st := s.state
	now := time.Now()
	st.mu.Lock()
	st.flight, st.err = nil, err
	st.retry, st.asked = time.Time{}, time.Time{}
	if err == nil {
		st.failures = 0
	} else {
		st.failures++
		st.retry = now.Add(backoff(st.failures, weakrand.Float64())) //nolint:gosec // G404: a jitter is no secret
		if e, ok := errors.AsType[*Error](err); ok {
			if later := now.Add(min(maxRetryAfter, e.Retry.Sub(now))); later.After(st.retry) {
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

// obtainSafely is obtain without its panics: a storage module's would end Caddy, since no server's recover is above here.
func (s *Source) obtainSafely(ctx context.Context, refused *Token) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Err: fmt.Errorf("renewing the token panicked with a %T", r)} // its value may hold anything
		}
	}()
	return s.obtain(ctx, refused)
}

// obtain puts a new token into the state: one that is stored already, or one from the provider.
func (s *Source) obtain(ctx context.Context, refused *Token) error {
	now := time.Now()
	current := s.state.token.Load()
	stored, err := s.load(ctx)
	switch {
	case errors.Is(err, ErrKeyMissing) && current == nil:
		return err
	case err != nil: // with a token in memory a record of another key is no reason to let that token be the last one
		s.logger.Warn("the stored token cannot be read; asking the provider", zap.Error(err))
	}
	var generation uint64
	if current != nil {
		generation = current.generation
	}
	if stored != nil {
		if stored.generation < generation {
			s.logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost",
				zap.Uint64("stored", stored.generation), zap.Uint64("in_memory", generation))
		}
		if stored.generation > generation && stored.valid(now) {
			// Near its end too nobody must wait for the provider: the next request renews it in the background.
			s.state.token.Store(stored)
			return nil
		}
		generation = max(generation, stored.generation)
	}
	token, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	if !token.valid(time.Now()) {
		return &Error{Err: errors.New("the token has expired already when it came")}
	}
	token.generation = generation + 1
	// A token of this grant can be had again, so it is used before it is stored: a storage that hangs must not keep it back.
	s.state.token.Store(token)
	if err := s.save(ctx, token); err != nil {
		s.logger.Error("storing a new token failed; it is used all the same, and asked for again after a restart", zap.Error(err))
	}
	return nil
}

func (s *Source) load(ctx context.Context) (*Token, error) {
	s.state.records.Lock()
	defer s.state.records.Unlock()
	return s.store.load(ctx)
}

func (s *Source) save(ctx context.Context, token *Token) error {
	s.state.records.Lock()
	defer s.state.records.Unlock()
	return s.store.save(ctx, token)
}

// resealDelay is how long a configuration must have run before records are moved to its first key. One that fails to start
// must not take them away from the one that goes on.
const resealDelay = 250 * time.Millisecond

// reseal moves the record to the first key of the ring, so that the others can be taken out of the configuration even if
// nobody has needed a new token in the meantime.
func (s *Source) reseal(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(resealDelay):
	}
	if _, err := s.load(context.WithoutCancel(ctx)); err != nil {
		s.logger.Warn("the stored token could not be sealed with the new key", zap.Error(err))
	}
}

// log tells an operator what failed and what to do. Nothing that the provider has written is in it but the error code.
func (s *Source) log(err error, wait time.Duration) {
	fields := []zap.Field{zap.Duration("next_attempt_in", wait.Round(time.Millisecond))}
	if e, ok := errors.AsType[*Error](err); ok {
		fields = append(fields, zap.String("token_endpoint", e.Host), zap.Int("status", e.Status),
			zap.String("oauth_error", e.Code), zap.String("remedy", e.Remedy()))
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
