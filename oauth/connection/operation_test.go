// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestBackoff: 1, 2, 4 … 300 s, ±20 %.
func TestBackoff(t *testing.T) {
	seconds := []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}
	for i, want := range seconds {
		for _, jitter := range []float64{0, 0.5, 1} {
			got := backoff(i+1, maxBackoff, jitter).Seconds()
			if exact := want * (0.8 + 0.4*jitter); got < exact-0.001 || got > exact+0.001 {
				t.Errorf("%d failures, jitter %v: %v s, want %v", i+1, jitter, got, exact)
			}
		}
	}
	for _, failures := range []int{63, 64, 65, 1 << 40} { // no shift overflows
		if got := backoff(failures, maxBackoff, 0.5); got != 5*time.Minute {
			t.Errorf("%d failures: %v", failures, got)
		}
	}
}

// down returns a provider that always fails.
func down(retry func() time.Time) *endpoint {
	return &endpoint{fail: func() error {
		err := &provider.Error{Host: "provider", Status: 503}
		if retry != nil {
			err.Retry = retry()
		}
		return err
	}}
}

// ask asks for a credential each 10 ms for a while, and fails if one comes or if asking takes
// time.
func ask(t *testing.T, s *Source, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		start := time.Now()
		_, err := s.Credential(t.Context())
		e, ok := errors.AsType[*provider.Error](err)
		if !ok {
			t.Fatalf("no *provider.Error: %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Fatalf("it took %v to fail", took)
		}
		if wait := time.Until(e.Retry); wait <= -10*time.Millisecond || wait > time.Hour {
			t.Fatalf("retry in %v", wait)
		}
	}
}

// TestOutage: a provider that is down is asked at growing intervals, and callers are told at once.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := down(nil)
		s, observed := newSource(t, p.fetch)
		ask(t, s, 40*time.Minute)
		const slack = 20 * time.Millisecond // between the end of a back-off and the next request
		for i := 1; i < len(p.times); i++ {
			gap := p.times[i].Sub(p.times[i-1])
			least, most := min(backoff(i, maxBackoff, 0), 48*time.Second), min(backoff(i, maxBackoff, 1), 72*time.Second) // callers wait for the provider to come back
			if gap < least || gap > most+slack {
				t.Errorf("call %d after %v, want %v to %v", i+1, gap, least, most)
			}
		}
		if n := len(p.times); n < 35 || n > 55 {
			t.Errorf("%d calls in 40 minutes", n)
		}
		if n := observed.Len(); n > 2*len(p.times) {
			t.Errorf("%d lines in the log for %d calls", n, len(p.times))
		}
		for _, want := range []string{`"token_endpoint":"provider"`, `"status":503`, `"remedy":"`, `"next_attempt_in"`} {
			if !strings.Contains(observed.String(), want) {
				t.Errorf("the log lacks %s", want)
			}
		}

		// One success begins the sequence anew.
		time.Sleep(maxBackoff * 2)
		p.fail, p.life = nil, time.Minute
		if _, err := s.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.fail = down(nil).fail
		time.Sleep(time.Minute)
		n := len(p.times)
		ask(t, s, 5*time.Second)
		if len(p.times) < n+2 || p.times[n+1].Sub(p.times[n]) > 1200*time.Millisecond+slack {
			t.Errorf("calls after a success: %v", p.times[n:])
		}
	})
}

// TestHonouredRetryAfter: what a provider asks for is kept to, up to an hour, where it is more
// than the back-off.
func TestHonouredRetryAfter(t *testing.T) {
	for _, tt := range []struct{ asked, min, max time.Duration }{
		{90 * time.Second, 90 * time.Second, 90 * time.Second},
		{time.Hour, time.Hour, time.Hour},
		{68 * 365 * 24 * time.Hour, time.Hour, time.Hour},
		{-time.Hour, 800 * time.Millisecond, 1200 * time.Millisecond},
		{0, 800 * time.Millisecond, 1200 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := down(func() time.Time { return time.Now().Add(tt.asked) })
			s, _ := newSource(t, p.fetch)
			_, err := s.Credential(t.Context())
			e, ok := errors.AsType[*provider.Error](err)
			if !ok {
				t.Fatalf("no *provider.Error: %v", err)
			}
			if wait := time.Until(e.Retry); wait < tt.min || wait > tt.max {
				t.Errorf("asked for %v: retry in %v", tt.asked, wait)
			}
			time.Sleep(time.Until(e.Retry) - time.Nanosecond)
			_, _ = s.Credential(t.Context())
			if n := p.calls.Load(); n != 1 {
				t.Errorf("asked for %v: %d calls before that", tt.asked, n)
			}
			time.Sleep(time.Nanosecond)
			_, _ = s.Credential(t.Context())
			if n := p.calls.Load(); n != 2 {
				t.Errorf("asked for %v: %d calls after it", tt.asked, n)
			}
		})
	}
}

// TestFailedRenewal: a renewal that fails does not harm a valid token; when it has expired, all
// know why at once.
func TestFailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := down(nil)
		p.delay = time.Second
		s, _ := newSource(t, p.fetch)
		s.conn.token.Store(issue("0", time.Hour))
		expiry := time.Now().Add(time.Hour)
		time.Sleep(50 * time.Minute)
		for time.Until(expiry) > time.Second {
			mustSend(t, s, "0", 0)
			time.Sleep(time.Second)
		}
		if n := p.calls.Load(); n < 5 || n > 10 {
			t.Errorf("%d attempts in the soft margin", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		start := time.Now()
		_, err := s.Credential(t.Context())
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Status != 503 || time.Until(e.Retry) <= 0 {
			t.Errorf("after the expiry: %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("that took %v", took)
		}
		// The provider is back: the next attempt heals.
		p.fail, p.life = nil, time.Hour
		time.Sleep(maxBackoff * 2)
		if _, err := s.Credential(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHerdFailure: all who wait for a renewal that fails get its error, and make no other.
func TestHerdFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := down(nil)
		p.delay = time.Second
		s, _ := newSource(t, p.fetch)
		errs := make(chan error, 100)
		for range cap(errs) {
			go func() {
				_, err := s.Credential(t.Context())
				errs <- err
			}()
		}
		for range cap(errs) {
			if e, ok := errors.AsType[*provider.Error](<-errs); !ok || !e.Retry.After(time.Now()) {
				t.Errorf("got %v", e)
			}
		}
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestRefusal: a refusal renews the token that was refused, once.
func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour, delay: time.Second}
		s, _ := newSource(t, p.fetch)
		mustSend(t, s, "1", time.Second)
		old := s.Current()
		results := make(chan string, 100)
		for range cap(results) {
			go func() {
				c, err := s.Refresh(t.Context(), old)
				if err != nil {
					t.Error(err)
				}
				results <- sent(c)
			}()
		}
		for range cap(results) {
			if got := <-results; got != "2" {
				t.Errorf("after a refusal: %s", got)
			}
		}
		// Late refusals of the old token say nothing of the new one.
		for range 100 {
			time.Sleep(time.Minute / 2)
			c, err := s.Refresh(t.Context(), old)
			if err != nil || sent(c) != "2" {
				t.Errorf("after a late refusal: %s, %v", sent(c), err)
			}
			mustSend(t, s, "2", 0)
		}
		if n := p.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestForcedInterval: a path that always answers 401 costs ever fewer token requests, and no
// waiting: one after 10 s, 20 s, 40 s … an hour.
func TestForcedInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour}
		s, _ := newSource(t, p.fetch)
		for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); time.Sleep(2 * time.Second) {
			c, err := s.Credential(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err = s.Refresh(t.Context(), c)
			if err != nil || c == nil {
				t.Fatalf("%v, %v", c, err)
			}
			if _, err := s.Refresh(t.Context(), c); err != nil { // what was replayed is refused too
				t.Fatal(err)
			}
		}
		// 10 for 10 s to an hour, 23 of an hour each, and some 26 as the tokens end.
		if n := p.calls.Load(); n < 30 || n > 60 {
			t.Errorf("%d token requests in a day", n)
		}
	})
}

// TestRefusalDuringOutage: the refused token stays in use if there is no other one.
func TestRefusalDuringOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := down(nil)
		p.delay = time.Second
		s, _ := newSource(t, p.fetch)
		s.conn.token.Store(issue("0", time.Hour))
		old, err := s.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			c, err := s.Refresh(t.Context(), old)
			if c != old || err == nil {
				t.Errorf("attempt %d: %s, %v", i, sent(c), err)
			}
			mustSend(t, s, "0", 0)
		}
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d calls at once", n)
		}
		// A caller that leaves does not wait for the renewal.
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Refresh(ctx, old); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that leaves: %v", err)
		}
		time.Sleep(time.Second) // the renewal goes on without it
		if n := p.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestStalePrepare: a request that was slow to prepare the credential of an old token must not
// change that of the new one: by it a refusal is known to be of the new token.
func TestStalePrepare(t *testing.T) {
	s, _ := newSource(t, nil)
	old, fresh := issue("1", time.Hour), issue("2", time.Hour)
	old.Generation, fresh.Generation = 1, 2
	s.conn.token.Store(fresh)
	c := s.Current()
	if got := sent(s.prepare(old)); got != "1" {
		t.Errorf("the old token's credential sends %s", got)
	}
	if s.Current() != c {
		t.Error("the new token has another credential now")
	}
}

// TestExpiredOnArrival: a token that is dead when it comes is an error that says so, not a
// credential.
func TestExpiredOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSource(t, func(context.Context, *record.Token) (*record.Token, error) {
			token := issue("1", time.Second)
			time.Sleep(2 * time.Second)
			return token, nil
		})
		if c, err := s.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "expired already") {
			t.Errorf("%s, %v", sent(c), err)
		}
	})
}

// TestLanded: between a request's look at the token and its turn the renewal may have ended. There
// is no second one then.
func TestLanded(t *testing.T) {
	s, _ := newSource(t, fails(t))
	old, fresh := issue("1", time.Hour), issue("2", time.Hour)
	s.conn.token.Store(fresh)
	for name, refused := range map[string]*record.Token{"a token was needed": nil, "the old one was refused": old} {
		f, err := s.renew(t.Context(), time.Now(), refused)
		if err != nil || f == nil {
			t.Fatalf("%s: %v", name, err)
		}
		select {
		case <-f.done:
		default:
			t.Errorf("%s: a renewal has begun", name)
			<-f.done
		}
	}
}
