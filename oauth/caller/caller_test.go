// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// sts is a provider that exchanges tokens, in memory.
type sts struct {
	asked atomic.Int64
	takes time.Duration
	life  time.Duration

	mu   sync.Mutex
	fail error
	same bool // the same token comes again
}

func (p *sts) exchange(_ context.Context, s Subject) (*record.Token, error) {
	n := p.asked.Add(1)
	time.Sleep(p.takes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return nil, p.fail
	}
	if p.same {
		n = 0
	}
	return record.New(record.Issued{Access: fmt.Sprintf("%s-%d", s.Token, n), Lifetime: p.life, Received: time.Now()}, record.Term{}, nil), nil
}

func (p *sts) failWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func build(token *record.Token) *auth.Credential {
	return auth.NewCredential(auth.Placement{Header: "Authorization"}, token.Access)
}

func newCache(p *sts, limit int) (*Cache, oauthtest.Logs) {
	logger, logs := oauthtest.NewLogger()
	return New(Config{Exchange: p.exchange, Build: build, Limit: limit, Logger: logger}), logs
}

func key(n int) (k Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n)) //nolint:gosec // G115: it is small
	return k
}

func sent(c *auth.Credential) string {
	h := make(http.Header)
	if c != nil {
		c.SetHeader(h)
	}
	return h.Get("Authorization")
}

func has(t *testing.T, s *Source, want string) {
	t.Helper()
	c, err := s.Credential(t.Context())
	if got := sent(c); err != nil || got != want {
		t.Errorf("%q is sent, want %q: %v", got, want, err)
	}
}

// TestOnce: requests with one token wait for one exchange, and are served from memory then.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{takes: time.Second, life: time.Hour}
		c, _ := newCache(p, 10)
		var users sync.WaitGroup
		for range 50 {
			users.Go(func() { has(t, c.Source(key(1), Subject{Token: "a", End: time.Now().Add(time.Hour)}), "a-1") })
		}
		users.Wait()
		has(t, c.Known(key(1)), "a-1")
		has(t, c.Source(key(2), Subject{Token: "b", End: time.Now().Add(time.Hour)}), "b-2")
		if p.asked.Load() != 2 || c.Known(key(3)) != nil {
			t.Errorf("%d exchanges", p.asked.Load())
		}
	})
}

// TestSubjectEnds: no exchanged token outlives the caller's own, whatever the provider says; and
// one whose end nobody knows is exchanged again within a minute.
func TestSubjectEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		subject, life, served time.Duration // a subject of 0 says nothing of its end
	}{
		"a short subject":                {10 * time.Minute, time.Hour, 10 * time.Minute},
		"a subject, and nothing said":    {10 * time.Minute, 0, 10 * time.Minute},
		"a short token":                  {time.Hour, 10 * time.Minute, 10 * time.Minute},
		"an opaque subject":              {0, time.Hour, time.Minute},
		"an opaque one, nothing said":    {0, 0, time.Minute},
		"an opaque one, and a short one": {0, 20 * time.Second, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &sts{life: tt.life}
				c, _ := newCache(p, 10)
				subject := Subject{Token: "a"}
				if tt.subject > 0 {
					subject.End = time.Now().Add(tt.subject)
				}
				s := c.Source(key(1), subject)
				has(t, s, "a-1")
				p.failWith(&provider.Error{Status: http.StatusServiceUnavailable})
				time.Sleep(tt.served - time.Second)
				has(t, s, "a-1")
				if synctest.Wait(); tt.served == tt.subject && p.asked.Load() != 1 {
					t.Error("another exchange of a token that is about to end")
				}
				time.Sleep(2 * time.Second)
				if got, err := s.Credential(t.Context()); err == nil || s.Current() != nil {
					t.Errorf("%q is sent after the end", sent(got))
				}
				if _, ended := errors.AsType[*SubjectError](func() error { _, err := s.Credential(t.Context()); return err }()); ended != (tt.served == tt.subject) {
					t.Errorf("the caller is told that its token has ended: %t", ended)
				}
			})
		})
	}
}

// TestRenewed: a token near its end is exchanged anew in the background.
func TestRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: 10 * time.Minute}
		c, _ := newCache(p, 10)
		s := c.Source(key(1), Subject{Token: "a", End: time.Now().Add(time.Hour)})
		has(t, s, "a-1")
		time.Sleep(9*time.Minute + 30*time.Second)
		has(t, s, "a-1")
		synctest.Wait()
		has(t, s, "a-2")
		time.Sleep(11 * time.Minute)
		has(t, s, "a-3")
	})
}

// TestFailures: a failure is told once, costs no valid token, and is tried again after a pause;
// the provider's Retry-After counts.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: 10 * time.Minute}
		c, logs := newCache(p, 10)
		p.failWith(&provider.Error{Status: http.StatusServiceUnavailable, Host: "sts", Retry: time.Now().Add(30 * time.Second)})
		s := c.Source(key(1), Subject{Token: oauthtest.TokenText, End: time.Now().Add(time.Hour)})
		for range 20 {
			if _, err := s.Credential(t.Context()); err == nil {
				t.Fatal("there is a token")
			}
			time.Sleep(time.Second)
		}
		if p.asked.Load() != 1 {
			t.Errorf("%d requests in the time of Retry-After", p.asked.Load())
		}
		if h := c.Health(); h.Err == nil || h.Since.IsZero() || !h.Succeeded.IsZero() {
			t.Errorf("%+v", h)
		}
		if logs.Len() != 1 || oauthtest.Leaks(logs.String()) != nil || !strings.Contains(logs.String(), "could not be exchanged") {
			t.Errorf("the log has %s", logs)
		}
		p.failWith(nil)
		time.Sleep(11 * time.Second)
		has(t, s, oauthtest.TokenText+"-2")
		if h := c.Health(); h.Err != nil || h.Succeeded.IsZero() {
			t.Errorf("%+v", h)
		}
		p.failWith(&SubjectError{Err: &provider.Error{Code: "invalid_grant", Status: 400}})
		other := c.Source(key(2), Subject{Token: "b", End: time.Now().Add(time.Hour)})
		for range 9 {
			_, err := other.Credential(t.Context())
			if e, ok := errors.AsType[*SubjectError](err); !ok || e.Err.Code != "invalid_grant" {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if p.asked.Load() != 3 {
			t.Errorf("a refused token was exchanged %d times in 9 seconds", p.asked.Load()-2)
		}
		has(t, s, oauthtest.TokenText+"-2")
	})
}

// TestRefused: a refusal of the API has the token exchanged once more, but not again and again.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: 10 * time.Minute}
		c, _ := newCache(p, 10)
		time.Sleep(time.Minute)
		s := c.Source(key(1), Subject{Token: "a", End: time.Now().Add(time.Hour)})
		first, err := s.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Refresh(t.Context(), first)
		if err != nil || sent(second) != "a-2" {
			t.Fatal(sent(second), err)
		}
		if late, _ := s.Refresh(t.Context(), first); late != second { // a late refusal of the first
			t.Error(sent(late))
		}
		if again, err := s.Refresh(t.Context(), second); again != second || err != nil || p.asked.Load() != 2 {
			t.Error(sent(again), err)
		}
		time.Sleep(11 * time.Second)
		p.mu.Lock()
		p.same = true
		p.mu.Unlock()
		third, _ := s.Refresh(t.Context(), second)
		time.Sleep(11 * time.Second)
		if same, _ := s.Refresh(t.Context(), third); same != third || p.asked.Load() != 4 {
			t.Error("the same token has another credential, or was not asked for")
		}
		time.Sleep(11 * time.Second)
		p.failWith(&provider.Error{Status: 500})
		if got, err := s.Refresh(t.Context(), third); got != third || err == nil {
			t.Error(sent(got), err)
		}
	})
}

// TestBound: what anybody sends fills the memory up to a bound, and drives out no token in use.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &sts{life: time.Hour}
		c, _ := newCache(p, 20)
		var good []*Source
		for n := range 10 {
			s := c.Source(key(n), Subject{Token: fmt.Sprint(n), End: time.Now().Add(time.Hour)})
			if _, err := s.Credential(t.Context()); err != nil {
				t.Fatal(err)
			}
			good = append(good, s)
		}
		p.failWith(&SubjectError{Err: &provider.Error{Code: "invalid_grant", Status: 400}})
		for n := range 1000 {
			_, _ = c.Source(key(100+n), Subject{Token: "x", End: time.Now().Add(time.Hour)}).Credential(t.Context())
		}
		cached, valid := c.Counts()
		if cached != 20 || valid != 10 {
			t.Errorf("%d sources, %d with a token", cached, valid)
		}
		for n, s := range good {
			if c.Known(key(n)) != s {
				t.Errorf("%d is gone", n)
			}
		}
		p.failWith(nil)
		for n := range 100 {
			_, _ = c.Source(key(5000+n), Subject{Token: "y", End: time.Now().Add(time.Hour)}).Credential(t.Context())
		}
		if cached, _ := c.Counts(); cached != 20 {
			t.Errorf("%d sources", cached)
		}
	})
}

// TestBoundOfBytes: who sends long tokens does not fill the memory with them. Sources that have a
// token stay.
func TestBoundOfBytes(t *testing.T) {
	c, _ := newCache(new(sts), 100_000)
	has(t, c.Source(key(0), Subject{Token: "a"}), "a-1")
	long := strings.Repeat("x", 64<<10)
	const n = 2 * maxBytes / (64 << 10)
	for i := range n {
		c.Source(key(i+1), Subject{Token: long[1:], Actor: long[:1]})
	}
	if cached, valid := c.Counts(); cached != n/2 || valid != 1 || c.bytes > maxBytes {
		t.Errorf("%d sources, %d of them valid, with %d bytes", cached, valid, c.bytes)
	}
	for key := range c.sources {
		c.remove(key)
	}
	if c.bytes != 0 {
		t.Errorf("%d bytes of no sources", c.bytes)
	}
}

// TestPanics: a panic below an exchange ends the exchange, and not the process; and whoever waits
// may leave.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, _ := oauthtest.NewLogger()
		c := New(Config{Exchange: func(context.Context, Subject) (*record.Token, error) { panic(oauthtest.TokenText) }, Build: build, Limit: 1, Logger: logger})
		_, err := c.Source(key(1), Subject{Token: "a"}).Credential(t.Context())
		if err == nil || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
			t.Error(err)
		}
		p := &sts{takes: time.Minute}
		slow, _ := newCache(p, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := slow.Source(key(1), Subject{Token: "a"}).Credential(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		has(t, slow.Known(key(1)), "a-1")
	})
}

// TestSubjectString: nothing that formats a subject shows it.
func TestSubjectString(t *testing.T) {
	s := Subject{Token: "secret"}
	if text := fmt.Sprintf("%v %+v %#v %v", s, s, s, &s); strings.Contains(text, "secret") {
		t.Error(text)
	}
}
