// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// Source has the credentials of one connection, for one configuration.
type Source struct {
	conn    *Connection
	set     *Set
	records *replica
	claims  *claimer
	person  *person  // the grant of a person; nil for client_credentials
	machine *machine // the grant client_credentials; nil for a person's

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
	token := s.conn.token.Load()
	if p := s.prepared.Load(); p != nil && p.token == token && token.fresh(now) {
		if look := s.conn.recheckAt.Load(); look == 0 || now.UnixNano() < look {
			return p.credential, nil
		}
	}
	if s.set.Interactive && token != nil {
		token = s.records.recheck(ctx, now, token)
	}
	if token.valid(now) {
		if !token.fresh(now) && now.UnixNano() >= s.conn.notBefore.Load() && (!s.set.Interactive || token.redeemable()) {
			_, _ = s.renew(now, nil) //nolint:contextcheck // in the background; a failure does not harm the token
		}
		return s.prepare(token).credential, nil
	}
	if s.set.Interactive {
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
	token := s.conn.token.Load()
	if token.valid(time.Now()) {
		return s.prepare(token).credential, nil
	}
	if err := token.finished(); err != nil && s.set.Interactive {
		return nil, err
	}
	if !f.renewal {
		return s.wait(ctx, time.Now())
	}
	if f.by != s && !f.by.set.configuredWith(s.set) {
		// It was made with a configuration that is no more, and failed; this one may be better.
		s.conn.clearFailures()
		return s.wait(ctx, time.Now())
	}
	s.conn.mu.Lock()
	err = s.conn.lastErr
	early := token != nil && s.conn.refusedGeneration != token.generation && f.began.Before(token.expiry)
	s.conn.mu.Unlock()
	switch {
	case err == nil:
		return nil, &Error{Err: errEnded}
	case s.set.Interactive && early && judge(err).refusal():
		return s.wait(ctx, time.Now()) // the refusal was of a token that was valid then, so the provider is asked again
	default:
		return nil, s.explain(err)
	}
}

// Current returns the credential that can be had without waiting, or nil.
func (s *Source) Current() *auth.Credential {
	if token := s.conn.token.Load(); token.valid(time.Now()) {
		return s.prepare(token).credential
	}
	return nil
}

// Refresh renews the token that refused was made of, unless that has happened since: a late refusal of an old token says
// nothing of the new one. It returns refused if there is no newer one.
func (s *Source) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	now := time.Now()
	token := s.conn.token.Load()
	if token.valid(now) {
		if p := s.prepare(token); p.credential != refused {
			return p.credential, nil
		}
	}
	if s.set.Interactive && !token.redeemable() {
		if token.valid(now) && token.end.Reason != "" {
			// Provider and API say the same, so from the next request on callers are told what to do.
			s.conn.token.CompareAndSwap(token, token.with(func(t *Token) { t.expire(now) }))
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
	if fresh := s.conn.token.Load(); fresh.valid(time.Now()) {
		if p := s.prepare(fresh); p.credential != refused {
			return p.credential, nil
		}
	}
	if !f.renewal && f != completed {
		return s.Refresh(ctx, refused)
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return refused, s.conn.lastErr
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
			fresh.credential = s.set.Build(token)
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
func (s *Source) renew(now time.Time, refused *Token) (*operation, error) {
	st := s.conn
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.operation != nil {
		return st.operation, nil
	}
	if token := st.token.Load(); refused == nil && token.fresh(now) || refused != nil && token != refused {
		return completed, nil // it has ended since the caller looked
	}
	if now.Before(st.retryAt) {
		return nil, st.lastErr
	}
	if refused.fresh(now) { // else it would be renewed anyway
		if !st.forced.begin(now) {
			return nil, nil
		}
	}
	return s.start(true, func(ctx context.Context) error { return s.renewToken(ctx, refused) }), nil
}

// renewToken puts a new token into the state: one that is stored already, or one from the provider.
func (s *Source) renewToken(ctx context.Context, refused *Token) error {
	renew := func(ctx context.Context) error { return s.machine.fetchNext(ctx) }
	if s.set.Interactive {
		renew = func(ctx context.Context) error { return s.person.next(ctx, refused) }
	}
	err := renew(ctx)
	if errors.Is(err, errEnded) && sleep(ctx, lastSecond) == nil {
		err = renew(ctx)
	}
	return err
}

// Renew asks the provider for a new token now, whatever is known of the one in use. Its errors are as those of
// Credential.
func (s *Source) Renew(ctx context.Context) error {
	token := s.conn.token.Load()
	if s.set.Interactive && token == nil {
		if _, err := s.records.latest(ctx); err != nil {
			return err
		}
		token = s.conn.token.Load()
	}
	if s.set.Interactive {
		token = s.records.recheck(ctx, time.Now(), token)
		switch err := token.finished(); {
		case token.valid(time.Now()) && token.end.Reason == "" && !token.redeemable():
			return ErrNotRenewable
		case err != nil:
			return err
		}
	}
	err := s.renewNow(ctx)
	if !s.conn.token.Load().valid(time.Now()) {
		return s.explain(err)
	}
	if e, ok := errors.AsType[*Error](err); ok && s.set.Interactive && judge(err).refusal() {
		return &EarlyRefusalError{e}
	}
	return err
}

// explain returns what a caller without a valid token is told.
func (s *Source) explain(err error) error {
	if s.set.Interactive && judge(err).refusal() {
		e, _ := errors.AsType[*Error](err)
		return &AuthorizationError{Reason: ReasonRefused, Code: e.Code, Description: e.Description}
	}
	return err
}
