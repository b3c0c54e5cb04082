// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// endpoint is a token endpoint without a network: its nth token is n.
type endpoint struct {
	life  time.Duration
	delay time.Duration
	fail  func() error

	calls atomic.Int64
	mu    sync.Mutex
	times []time.Time // of the calls
}

func (p *endpoint) fetch(context.Context, *record.Token) (*record.Token, error) {
	n := p.calls.Add(1)
	p.mu.Lock()
	p.times = append(p.times, time.Now())
	p.mu.Unlock()
	time.Sleep(p.delay) // the clock of a bubble
	if p.fail != nil {
		if err := p.fail(); err != nil {
			return nil, err
		}
	}
	return issue(strconv.FormatInt(n, 10), p.life), nil
}

// mustSend fails unless the credential at this moment is want, and came at once or, if waits,
// after a wait.
func mustSend(t *testing.T, s *Source, want string, waits time.Duration) {
	t.Helper()
	start := time.Now()
	c, err := s.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(c); got != want {
		t.Errorf("token %s is sent, want %s", got, want)
	}
	if took := time.Since(start); took != waits {
		t.Errorf("it took %v, want %v", took, waits)
	}
}

// TestHotPath: with a fresh token a request takes no lock and allocates nothing.
func TestHotPath(t *testing.T) {
	s, _ := newSource(t, func(context.Context, *record.Token) (*record.Token, error) {
		return nil, errors.New("no token is needed")
	})
	s.conn.token.Store(issue("1", time.Hour))
	first, err := s.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	s.conn.mu.Lock() // whoever wants it waits for ever
	done := make(chan float64)
	go func() {
		done <- testing.AllocsPerRun(1000, func() {
			if c, err := s.Credential(t.Context()); err != nil || c != first {
				t.Errorf("another credential, or %v", err)
			}
			if s.Current() != first {
				t.Error("Current has another credential")
			}
		})
	}()
	select {
	case allocs := <-done:
		if allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the hot path waits for a lock")
	}
	s.conn.mu.Unlock()
}

// BenchmarkCredential compares the hot path with that of golang.org/x/oauth2, which takes a lock.
func BenchmarkCredential(b *testing.B) {
	b.Run("source", func(b *testing.B) {
		s, _ := newSource(b, nil)
		s.conn.token.Store(issue("1", time.Hour))
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			ctx := context.Background()
			for pb.Next() {
				if _, err := s.Credential(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("oauth2.ReuseTokenSource", func(b *testing.B) {
		s := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "1", Expiry: time.Now().Add(time.Hour)}, nil)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Token(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// TestRenewal: in the soft margin one renewal runs in the background while all go on with the old
// token; before it none does.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour, delay: 3 * time.Second}
		s, _ := newSource(t, p.fetch)
		mustSend(t, s, "1", 3*time.Second) // there is none yet

		token := s.conn.token.Load()
		time.Sleep(time.Until(token.Soft) - time.Nanosecond)
		mustSend(t, s, "1", 0)
		if n := p.calls.Load(); n != 1 {
			t.Fatalf("%d calls before the soft margin", n)
		}
		time.Sleep(time.Nanosecond)
		for range 29 {
			mustSend(t, s, "1", 0)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		mustSend(t, s, "2", 0)
		if n := p.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
		if got, want := s.conn.token.Load().Generation, uint64(2); got != want {
			t.Errorf("generation %d", got)
		}
		// A connection that nobody uses is not renewed.
		time.Sleep(24 * time.Hour)
		if n := p.calls.Load(); n != 2 {
			t.Errorf("%d calls when nobody asked", n)
		}
		mustSend(t, s, "3", 3*time.Second)
	})
}

// TestHardExpiry: to the last nanosecond a token is used, then requests wait.
func TestHardExpiry(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Second, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := &endpoint{life: life, delay: 2 * life}
			s, _ := newSource(t, p.fetch)
			s.conn.token.Store(issue("0", life))
			time.Sleep(life - time.Nanosecond)
			mustSend(t, s, "0", 0)
			if s.Current() == nil {
				t.Error("no current credential at the last moment")
			}
			time.Sleep(time.Nanosecond)
			if s.Current() != nil {
				t.Error("an expired token is current")
			}
			// The renewal that the request before has started is joined.
			mustSend(t, s, "1", 2*life-time.Nanosecond)
			if n := p.calls.Load(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestHerd: a thousand requests without a token make one call.
func TestHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour, delay: time.Second}
		s, _ := newSource(t, p.fetch)
		first, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the caller has gone")
		firstDone := make(chan error)
		go func() {
			_, err := s.Credential(first)
			firstDone <- err
		}()
		synctest.Wait() // the first one has started the operation
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { mustSend(t, s, "1", time.Second) })
		}
		synctest.Wait()
		cancel(gone)
		if err := <-firstDone; !errors.Is(err, gone) {
			t.Errorf("the one that left: %v", err)
		}
		wg.Wait()
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestDeadCaller: a request that has ended before it asks starts the renewal for those to come,
// and does not wait.
func TestDeadCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour, delay: time.Second}
		s, _ := newSource(t, p.fetch)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Credential(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		mustSend(t, s, "1", time.Second)
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestNoExpiry: a token without a lifetime is used until the API refuses it.
func TestNoExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(endpoint)
		s, _ := newSource(t, p.fetch)
		mustSend(t, s, "1", 0)
		for range 20 {
			time.Sleep(365 * 24 * time.Hour)
			mustSend(t, s, "1", 0)
		}
		old := s.Current()
		fresh, err := s.Refresh(t.Context(), old)
		if err != nil || sent(fresh) != "2" {
			t.Errorf("after a refusal: %s, %v", sent(fresh), err)
		}
	})
}

// TestCurrent: it never waits and never fetches.
func TestCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: time.Hour, delay: time.Second}
		s, _ := newSource(t, p.fetch)
		if c := s.Current(); c != nil {
			t.Errorf("%v without a token", sent(c))
		}
		mustSend(t, s, "1", time.Second)
		time.Sleep(time.Hour - time.Nanosecond)
		if got := sent(s.Current()); got != "1" {
			t.Errorf("in the soft margin: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if c := s.Current(); c != nil {
			t.Errorf("%s after the expiry", sent(c))
		}
		synctest.Wait()
		if n := p.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}
