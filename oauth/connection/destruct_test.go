// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// destruct ends the process of a method, which must have ended by then, and returns how long that
// took.
func destruct(t *testing.T, c *Pool, by time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	if by > 0 {
		c.mustEnd(begin.Add(by))
	}
	if err := c.Destruct(); err != nil {
		t.Error(err)
	}
	return time.Since(begin)
}

// TestEndByGracePeriod: a process that ends waits for a refresh that is at the provider, and for
// no longer than it is told. One that has not been sent is not sent if its answer could come too
// late, so that nothing is lost.
func TestEndByGracePeriod(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   time.Duration // how long the provider takes
		sent     bool          // the refresh token, before the end
		by       time.Duration // 0: no grace period
		min, max time.Duration
		calls    int
		stored   string
	}{
		"no grace period":         {5 * time.Second, true, 0, 3 * time.Second, 6 * time.Second, 1, "access-1"},
		"a long one":              {5 * time.Second, true, time.Hour, 3 * time.Second, 6 * time.Second, 1, "access-1"},
		"a short one":             {5 * time.Second, true, 2 * time.Second, 2 * time.Second, 2020 * time.Millisecond, 1, "access-0"},
		"over already":            {5 * time.Second, true, time.Nanosecond, 0, 20 * time.Millisecond, 1, "access-0"},
		"not sent, a short one":   {0, false, 5 * time.Second, 0, 2 * time.Second, 0, "access-0"},
		"not sent, a long one":    {0, false, 20 * time.Second, 0, 2 * time.Second, 1, "access-1"},
		"the provider is dead":    {2 * time.Minute, true, 20 * time.Second, 20 * time.Second, 20020 * time.Millisecond, 1, "access-0"},
		"the provider is dead, 0": {2 * time.Minute, true, 0, destructPatience, destructPatience + 20*time.Millisecond, 1, "access-0"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				time.Sleep(time.Minute)
				n.before.set(func(step string) {
					if step == stepRedeem {
						time.Sleep(tt.answer)
					}
				})
				go n.Credential(t.Context())
				if tt.sent {
					time.Sleep(time.Second)
				} else {
					time.Sleep(100 * time.Millisecond)
				}
				took := destruct(t, n.set.pool, tt.by)
				if took < tt.min || took > tt.max {
					t.Errorf("it ended after %v", took)
				}
				if got := n.stored(); got.Access != tt.stored || !tt.sent && got.Claim != nil {
					t.Errorf("%s is stored, with the claim %+v", got.Access, got.Claim)
				}
				calls := w.p.calls()
				if tt.sent && tt.stored == "access-0" {
					calls++ // it has not arrived
				}
				if calls != tt.calls {
					t.Errorf("%d token requests", calls)
				}
			})
		})
	}
}

// TestEndOfClientCredentials: a token that can be had again is not waited for.
func TestEndOfClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSource(t, func(ctx context.Context, _ *record.Token) (*record.Token, error) { <-ctx.Done(); return nil, ctx.Err() })
		s.conn = s.set.pool.connection("", 10)
		go s.Credential(t.Context())
		time.Sleep(time.Second)
		if took := destruct(t, s.set.pool, 0); took > 0 {
			t.Errorf("it ended after %v", took)
		}
		time.Sleep(time.Minute) // for the renewal
	})
}

// TestEveryStorageEnds: whatever a storage does, whatever is asked of the connection ends by its
// time, and when the storage works again so does the connection.
func TestEveryStorageEnds(t *testing.T) {
	end := make(map[string]func(w *world) error)
	end["hangs"] = func(w *world) error { <-w.end; return errHangs }
	end["takes four seconds"] = func(*world) error { time.Sleep(4 * time.Second); return nil }
	end["takes half a minute"] = func(*world) error { time.Sleep(30 * time.Second); return nil }
	end["fails late"] = func(*world) error { time.Sleep(4 * time.Second); return errDown }
	end["panics"] = func(*world) error { panic(oauthtest.BodyText) }
	actions := map[string]func(ctx context.Context, n *node) error{
		"renew":      func(ctx context.Context, n *node) error { return n.Renew(ctx) },
		"disconnect": func(ctx context.Context, n *node) error { return n.Disconnect(ctx) },
		"status":     func(ctx context.Context, n *node) error { _, err := n.Status(ctx); return err },
		"connect":    func(ctx context.Context, n *node) error { return n.Install(ctx, n.set.shared.conn.token.Load()) },
		"move":       func(ctx context.Context, n *node) error { return n.move(ctx) },
	}
	for how, do := range end {
		for _, op := range []string{"Load", "Store", "Delete", "List", ""} {
			for what, act := range actions {
				t.Run(what+", "+op+" "+how, func(t *testing.T) {
					bubble(t, &issuer{mode: rotateGrace, life: time.Hour}, func(t *testing.T, w *world) {
						n := w.connected(1)[0]
						w.disk.FailWith(func(_ context.Context, used, _ string) error {
							if op == "" || op == used {
								return do(w)
							}
							return nil
						})
						begin := time.Now()
						err := act(t.Context(), n)
						if took := time.Since(begin); took > n.set.life+record.StorageTimeout {
							t.Errorf("it ended after %v with %v", took, err)
						}
						w.disk.FailWith(nil)
						time.Sleep(2 * time.Minute)
						if err := n.Install(t.Context(), w.p.connect()); err != nil {
							t.Fatal(err)
						}
						if err := n.Renew(t.Context()); err != nil {
							t.Errorf("then the storage works: %v", err)
						}
						if _, err := n.Credential(t.Context()); err != nil || n.conn.busy() {
							t.Errorf("then the storage works: %v; busy: %t", err, n.conn.busy())
						}
					})
				})
			}
		}
	}
}
