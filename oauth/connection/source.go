// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Source has the credentials of one connection, for one configuration. Requests ask it for them.
type Source struct {
	conn  *Connection
	set   *Set
	ready ready
	*recorded
}

// recorded is what few requests read of a source.
type recorded struct {
	store record.Store
	last  lastRead // Connection.storing guards it
}

// records is the source as that which keeps memory and record in step.
func (s *Source) records() *replica { return (*replica)(s) }

// claims is the source as that which claims a record before it is used. Client credentials need no
// claims.
func (s *Source) claims() *claimer { return (*claimer)(s) }

// grant is the source as that which gets the next token.
func (s *Source) grant() grant {
	if s.set.Interactive {
		return (*person)(s)
	}
	return (*machine)(s)
}

// Connection returns whose connection it is: the value of the option connection, "" for the shared
// one.
func (s *Source) Connection() string { return s.records().store.Connection }

// Credential returns the credential of a request. While the token is fresh that takes six
// atomic loads and a look at the clock. Near the token's end a renewal starts in the background
// and the token still serves. A request waits only if there is no valid token.
func (s *Source) Credential(ctx context.Context) (*auth.Credential, error) {
	now := time.Now()
	token := s.conn.token.Load()
	if look := s.conn.recheckAt.Load(); look == 0 || now.UnixNano() < look {
		if c := s.ready.fresh(token, now); c != nil {
			return c, nil
		}
	}
	if token != nil {
		token = s.grant().recheck(ctx, now, token)
	}
	if token.Valid(now) {
		if !token.Fresh(now) && now.UnixNano() >= s.conn.notBefore.Load() && s.grant().renewable(token) {
			_, _ = s.renew(ctx, now, nil) // in the background; a failure does not harm the token
		}
		return s.prepare(token), nil
	}
	if err := s.grant().finished(token); err != nil {
		tellEnd(s, err)
		return nil, err
	}
	return s.wait(ctx, now)
}

// wait returns the credential of the renewal that is under way, or of one that it starts.
func (s *Source) wait(ctx context.Context, now time.Time) (*auth.Credential, error) {
	for ; ; now = time.Now() {
		op, err := s.renew(ctx, now, nil)
		if err != nil {
			return nil, s.grant().explain(err)
		}
		op.traceWait(ctx)
		select {
		case <-op.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		token := s.conn.token.Load()
		if token.Valid(time.Now()) {
			return s.prepare(token), nil
		}
		if err := s.grant().finished(token); err != nil {
			return nil, err
		}
		if err, again := outcome(s, op, token); !again {
			return nil, err
		}
	}
}

// outcome returns why an operation has brought no valid token, or that another renewal may.
func outcome(s *Source, op *operation, token *record.Token) (err error, again bool) { //nolint:staticcheck // not the last: again says whether it counts
	if !op.renewal {
		return nil, true
	}
	if op.by != s && !op.by.set.configuredWith(s.set) {
		s.conn.clearFailures() // an ended configuration has failed; this one may do better
		return nil, true
	}
	s.conn.mu.Lock()
	trouble := s.conn.trouble()
	err = trouble.lastErr
	early := token != nil && trouble.refusedGeneration != token.Generation && op.began.Before(token.Expiry)
	s.conn.mu.Unlock()
	switch {
	case err == nil:
		return &provider.Error{Err: errEnded}, false
	case early && s.grant().refusedBy(err):
		return nil, true // the provider has refused to renew a token that was valid then
	default:
		return s.grant().explain(err), false
	}
}

// Current returns the credential that there is without waiting, or nil.
func (s *Source) Current() *auth.Credential {
	if token := s.conn.token.Load(); token.Valid(time.Now()) {
		return s.prepare(token)
	}
	return nil
}

// Refresh renews the token of which the API has refused the credential, unless somebody has
// since: a late refusal of an old token says nothing of the new one. It returns refused if there
// is no newer credential.
func (s *Source) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	for {
		now := time.Now()
		token := s.conn.token.Load()
		if fresh := other(s, token, refused); fresh != nil {
			return fresh, nil
		}
		if !s.grant().renewable(token) {
			if token.Valid(now) && token.End.Reason != "" {
				// Provider and API say the same, so callers are told what to do from the next
				// request on.
				s.conn.token.CompareAndSwap(token, token.With(func(t *record.Token) { t.Expire(now) }))
			}
			return refused, nil // nothing renews it; the API's own answer tells the caller
		}
		op, err := s.renew(ctx, now, token)
		if op == nil {
			return refused, err
		}
		op.traceWait(ctx)
		select {
		case <-op.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if fresh := other(s, s.conn.token.Load(), refused); fresh != nil {
			return fresh, nil
		}
		if op.renewal || op == completed {
			s.conn.mu.Lock()
			defer s.conn.mu.Unlock()
			return refused, s.conn.trouble().lastErr
		}
	}
}

// other returns the credential of a valid token, or nil if it is the one that was refused.
func other(s *Source, token *record.Token, refused *auth.Credential) *auth.Credential {
	if !token.Valid(time.Now()) {
		return nil
	}
	if c := s.prepare(token); c != refused {
		return c
	}
	return nil
}

// prepare returns the credential of a token. The token in use has the same credential each time:
// Refresh knows it by that.
func (s *Source) prepare(token *record.Token) *auth.Credential {
	if c, _ := s.ready.of(token); c != nil {
		return c
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	c, _ := s.ready.of(token)
	if c == nil {
		c = s.ready.again(token)
	}
	if c == nil {
		c = s.set.Build(token)
	}
	if s.conn.token.Load() == token { // otherwise it was renewed since a slow request has looked
		s.ready.set(token, c)
	}
	return c
}

// renew returns the operation that is under way, or starts a renewal. refused is the token that
// the API has refused, nil if that is not the reason. It returns the last error during a
// back-off, and nil, nil if the API's refusal comes too soon after another one (see forced).
func (s *Source) renew(ctx context.Context, now time.Time, refused *record.Token) (*operation, error) {
	conn := s.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.operation != nil {
		return conn.operation, nil
	}
	if token := conn.token.Load(); refused == nil && token.Fresh(now) || refused != nil && token != refused {
		return completed, nil // the renewal has ended since the caller looked
	}
	if trouble := conn.trouble(); now.Before(trouble.retryAt) {
		return nil, trouble.lastErr
	}
	if refused.Fresh(now) { // a token near its end would be renewed anyway
		if !conn.troubled().forced.begin(now) {
			return nil, nil
		}
	}
	return s.start(ctx, true, func(ctx context.Context) error { return renewToken(ctx, s.grant(), refused) }), nil
}

// renewToken has the grant get a token, and once more if the new one has ended already.
func renewToken(ctx context.Context, g grant, refused *record.Token) error {
	err := g.renew(ctx, refused)
	if errors.Is(err, errEnded) && sleep(ctx, record.LastSecond) == nil {
		err = g.renew(ctx, refused)
	}
	return err
}

// Renew asks the provider for a new token now, whatever is known of the one in use. Its errors
// are those of Credential.
func (s *Source) Renew(ctx context.Context) error {
	if s.set.Exchanges != nil {
		return &provider.Error{Err: errPerCaller}
	}
	if err := checkRenewable(ctx, s); err != nil {
		return err
	}
	err := s.runNext(ctx, true, func(ctx context.Context) error {
		s.set.lockout.clear(ctx) // an operator has the login tried again
		return renewToken(ctx, s.grant(), nil)
	})
	if !s.conn.token.Load().Valid(time.Now()) {
		return s.grant().explain(err)
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && s.grant().refusedBy(err) {
		return &EarlyRefusalError{e}
	}
	return err
}

// checkRenewable returns why no renewal can bring a token, as the record says now.
func checkRenewable(ctx context.Context, s *Source) error {
	token := s.conn.token.Load()
	if token == nil && s.set.Interactive {
		if _, err := s.records().latest(ctx); err != nil {
			return err
		}
		token = s.conn.token.Load()
	}
	token = s.grant().recheck(ctx, time.Now(), token)
	if token.Valid(time.Now()) && token.End.Reason == "" && !s.grant().renewable(token) {
		return ErrNotRenewable
	}
	return s.grant().finished(token)
}
