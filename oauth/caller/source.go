// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

const (
	// opaqueLife is how long an exchanged token is used at most if nobody can tell when the token
	// ends that it was exchanged for. Then the provider is asked again.
	opaqueLife = time.Minute

	// pause is the time to the next attempt after a failure; it doubles with each.
	pause = time.Second

	// refusedPause is pause after a refusal of the caller's token.
	refusedPause = 10 * time.Second

	// longestPause bounds both.
	longestPause = time.Minute

	// forcedPause is the least time between two exchanges because the API has refused the outcome.
	forcedPause = 10 * time.Second
)

// Source has the credentials that one caller's token was exchanged for.
type Source struct {
	cache   *Cache
	subject Subject

	prepared atomic.Pointer[prepared]
	used     atomic.Bool // since the cache last made room

	mu       sync.Mutex // guards what follows
	running  *attempt   // the exchange that is under way, or nil
	failures int        // in a row
	retryAt  time.Time  // until then err stands
	err      error
	forcedAt time.Time
}

// prepared is a token with the credential that is made of it.
type prepared struct {
	token      *record.Token
	credential *auth.Credential
}

// attempt is an exchange that is under way. It belongs to no request: whoever waits may leave.
type attempt struct {
	done chan struct{}
	err  error // may be read when done is closed
}

// Credential implements auth.Source.
func (s *Source) Credential(ctx context.Context) (*auth.Credential, error) {
	now := time.Now()
	if p := s.prepared.Load(); p != nil && p.token.Valid(now) {
		if !p.token.Fresh(now) {
			_, _ = s.start(now) //nolint:contextcheck // in the background; a failure does not harm the token
		}
		return p.credential, nil
	}
	a, err := s.start(now) //nolint:contextcheck // an exchange belongs to no request
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	return s.prepared.Load().credential, nil
}

// Current implements auth.Source.
func (s *Source) Current() *auth.Credential {
	if p := s.prepared.Load(); p != nil && p.token.Valid(time.Now()) {
		return p.credential
	}
	return nil
}

// Refresh implements auth.Source: the caller's token is exchanged once more, unless that was done
// just before.
func (s *Source) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	now := time.Now()
	if current := s.Current(); current != nil && current != refused {
		return current, nil
	}
	s.mu.Lock()
	early := now.Sub(s.forcedAt) < forcedPause
	if !early {
		s.forcedAt = now
	}
	s.mu.Unlock()
	if early {
		return refused, nil
	}
	a, err := s.start(now) //nolint:contextcheck // an exchange belongs to no request
	if err != nil {
		return refused, err
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if current := s.Current(); current != nil {
		return current, a.err
	}
	return refused, a.err
}

// start returns the exchange that is under way, or starts one. It returns the last error during a
// pause, and at once if the caller's token has ended.
func (s *Source) start(now time.Time) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running != nil:
		return s.running, nil
	case !s.subject.End.IsZero() && !now.Before(s.subject.End):
		return nil, &SubjectError{}
	case now.Before(s.retryAt):
		return nil, s.err
	}
	s.running = &attempt{done: make(chan struct{})}
	go s.run(s.running)
	return s.running, nil
}

// run makes one exchange.
func (s *Source) run(a *attempt) {
	token, err := s.exchange()
	now := time.Now()
	if err == nil && !token.Valid(now) {
		err = &provider.Error{Err: errors.New("the token had ended when it came")}
	}
	if err == nil {
		s.prepare(token)
	}
	s.mu.Lock()
	s.running, s.err, a.err = nil, err, err
	if err == nil {
		s.failures, s.retryAt = 0, time.Time{}
	} else {
		s.failures++
		s.retryAt = now.Add(s.pauseAfter(err, now))
	}
	s.mu.Unlock()
	s.cache.note(err)
	close(a.done)
}

// exchange calls Config.Exchange. A panic there would end Caddy, since no server's recover stands
// above.
func (s *Source) exchange() (token *record.Token, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &provider.Error{Err: fmt.Errorf("exchanging the token panicked with a %T", p)}
		}
	}()
	if token, err = s.cache.Exchange(context.Background(), s.subject); err != nil {
		return nil, err
	}
	return s.bounded(token), nil
}

// bounded returns a token that ends when the caller's does.
func (s *Source) bounded(token *record.Token) *record.Token {
	end := s.subject.End
	if end.IsZero() {
		end = token.Obtained.Add(opaqueLife)
	}
	if !token.Expiry.IsZero() && token.Expiry.Before(end) {
		return token
	}
	return token.With(func(t *record.Token) {
		s.cache.Term.SetEnd(t, end, end.Sub(t.Obtained))
		if !s.subject.End.IsZero() {
			t.Soft = t.Expiry // another exchange would bring no more
		}
	})
}

// prepare puts a token to use. The same token has the same credential, by which Refresh knows it.
func (s *Source) prepare(token *record.Token) {
	p := &prepared{token: token}
	if before := s.prepared.Load(); before != nil && before.token.Access == token.Access && before.token.ID == token.ID {
		p.credential = before.credential
	} else {
		p.credential = s.cache.Build(token)
	}
	s.prepared.Store(p)
}

// pauseAfter returns how long nobody asks the provider again. The caller holds mu.
func (s *Source) pauseAfter(err error, now time.Time) time.Duration {
	first := pause
	if _, refused := errors.AsType[*SubjectError](err); refused {
		first = refusedPause
	}
	wait := min(first<<min(s.failures-1, 10), longestPause)
	if e, ok := errors.AsType[*provider.Error](err); ok {
		wait = max(wait, min(e.Retry.Sub(now), time.Hour))
		e.Retry = now.Add(wait)
	}
	return wait
}

// Interface guards
var _ auth.Source = (*Source)(nil)
