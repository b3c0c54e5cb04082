// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Source has the credentials of one connection, for one configuration.
type Source struct {
	state  *State
	fetch  func(ctx context.Context, before *Token) (*Token, error)
	redeem func(ctx context.Context, refreshToken string) (*provider.Answer, error) // nil for client_credentials
	revoke func(context.Context, *Token) error
	store  *store
	build  func(*Token) *auth.Credential
	life   time.Duration // the longest that a renewal can take
	lease  time.Duration // how long another's claim is respected
	method *Method
	logger *zap.Logger

	prepared atomic.Pointer[prepared]
}

// prepared is a token with what is put on requests.
type prepared struct {
	token      *Token
	credential *auth.Credential
}

// Credential returns a credential. With a token that is not near its end that takes three atomic loads and a look at the
// clock; near its end the token is still good while a new one is fetched; only without a valid token a request waits.
func (s *Source) Credential(ctx context.Context) (*auth.Credential, error) {
	now := time.Now()
	token := s.state.token.Load()
	if p := s.prepared.Load(); p != nil && p.token == token && token.fresh(now) {
		if look := s.state.look.Load(); look == 0 || now.UnixNano() < look {
			return p.credential, nil
		}
	}
	if s.redeem != nil && token != nil {
		token = s.lookAgain(ctx, now, token)
	}
	if token.valid(now) {
		if !token.fresh(now) && now.UnixNano() >= s.state.quiet.Load() && (s.redeem == nil || token.redeemable()) {
			_, _ = s.renew(now, nil) //nolint:contextcheck // in the background; a failure does not harm the token
		}
		return s.prepare(token).credential, nil
	}
	if s.redeem != nil {
		if err := token.finished(); err != nil {
			return nil, err
		}
	}
	return s.wait(ctx, now)
}

// wait returns a credential of the renewal that is under way, or of one that it starts.
func (s *Source) wait(ctx context.Context, now time.Time) (*auth.Credential, error) {
	f, err := s.renew(now, nil) //nolint:contextcheck // a renewal belongs to no request
	if err != nil {
		return nil, s.explain(err)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	token := s.state.token.Load()
	if token.valid(time.Now()) {
		return s.prepare(token).credential, nil
	}
	if err := token.finished(); err != nil && s.redeem != nil {
		return nil, err
	}
	if !f.renewal {
		return s.wait(ctx, time.Now())
	}
	if f.by != s && !f.by.method.configuredWith(s.method) {
		// It was made with a configuration that is no more, and failed; this one may be better.
		s.state.clearFailures()
		return s.wait(ctx, time.Now())
	}
	s.state.mu.Lock()
	err = s.state.err
	early := token != nil && s.state.refused != token.generation && f.began.Before(token.expiry)
	s.state.mu.Unlock()
	switch {
	case err == nil:
		return nil, &provider.Error{Err: errEnded}
	case s.redeem != nil && early && judge(err).refusal():
		return s.wait(ctx, time.Now()) // the refusal was of a token that was valid then, so the provider is asked again
	default:
		return nil, s.explain(err)
	}
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
	token := s.state.token.Load()
	if token.valid(now) {
		if p := s.prepare(token); p.credential != refused {
			return p.credential, nil
		}
	}
	if s.redeem != nil && !token.redeemable() {
		if token.valid(now) && token.end.Reason != "" {
			// Provider and API say the same, so from the next request on callers are told what to do.
			s.state.token.CompareAndSwap(token, token.with(func(t *Token) { t.expire(now) }))
		}
		return refused, nil // there is nothing to renew it with; the API's own answer says so to the caller
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
	if fresh := s.state.token.Load(); fresh.valid(time.Now()) {
		if p := s.prepare(fresh); p.credential != refused {
			return p.credential, nil
		}
	}
	if !f.renewal && f != landed {
		return s.Refresh(ctx, refused)
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
		fresh := &prepared{token: token}
		if p != nil && p.token.access == token.access && p.token.id == token.id {
			fresh.credential = p.credential // what has changed is not on requests
		} else {
			fresh.credential = s.build(token)
		}
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
		if !st.forced.begin(now) {
			return nil, nil
		}
	}
	return s.start(true, func(ctx context.Context) error { return s.obtain(ctx, refused) }), nil
}

// obtain puts a new token into the state: one that is stored already, or one from the provider.
func (s *Source) obtain(ctx context.Context, refused *Token) error {
	renew := s.fetchNext
	if s.redeem != nil {
		renew = func(ctx context.Context) error { return s.next(ctx, refused) }
	}
	err := renew(ctx)
	if errors.Is(err, errEnded) && sleep(ctx, lastSecond) == nil {
		err = renew(ctx)
	}
	return err
}

func (s *Source) load(ctx context.Context) (*Token, error) {
	if err := s.state.records.lock(ctx); err != nil {
		return nil, err
	}
	defer s.state.records.Unlock()
	return s.store.load(ctx)
}

func (s *Source) save(ctx context.Context, token *Token) error {
	if err := s.state.records.lock(ctx); err != nil {
		return err
	}
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
