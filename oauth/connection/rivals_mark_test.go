// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestSlowLock: lock and storage hang for 15 s after a claim was marked as sent, and the provider
// is slow after that. What is left of the lease then is not enough, so the claim is marked again
// before anything is sent.
func TestSlowLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &issuer{mode: rotateStrict, life: time.Minute}, func(ctx context.Context, _ *sync.Map, _ string) (func(), error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		defer w.finish()
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		time.Sleep(2 * time.Minute)
		w.p.fate = func(n int) fate {
			if n == 1 {
				return fate{takes: 9 * time.Second}
			}
			return fate{}
		}
		var once sync.Once
		nodes[0].after.set(func(step string) {
			if step == stepSent {
				once.Do(func() {
					nodes[0].fail(errHangs)
					time.AfterFunc(15200*time.Millisecond, func() { nodes[0].fail(nil) })
				})
			}
		})
		var callers sync.WaitGroup
		for _, n := range nodes {
			callers.Go(func() { _, _ = n.Credential(context.Background()) })
			time.Sleep(time.Second)
		}
		callers.Wait()
		time.Sleep(time.Minute)
		if w.p.dead || len(w.p.twice()) > 0 || w.p.calls() == 0 {
			t.Errorf("withdrawn: %t; redeemed twice: %v; %d calls", w.p.dead, w.p.twice(), w.p.calls())
		}
	})
}

// TestSecondMarkTooLate: the mark for the second request, after a lost answer, comes when the
// lease is over. Nothing is sent.
func TestSecondMarkTooLate(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		time.Sleep(2 * time.Minute)
		w.p.fate = func(n int) fate {
			if n == 1 {
				return fate{takes: 14 * time.Second, lost: true}
			}
			return fate{}
		}
		nodes[0].delaySecondMark(4 * time.Second)
		if _, err := nodes[0].Credential(t.Context()); err == nil || w.p.calls() != 1 {
			t.Errorf("%v, and %d calls", err, w.p.calls())
		}
		// The mark may lie over the claim of a node that has taken over, so it stays, and is
		// respected.
		nodes[1].mustHaveAfter(t, "access-2", nodes[1].set.lease+time.Second)
	})
}

// TestSecondMarkFails: the mark for the second request fails, once. Nothing is sent, and others
// need not wait for a lease.
func TestSecondMarkFails(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		time.Sleep(2 * time.Minute)
		w.p.fate = func(n int) fate { return fate{lost: n == 1} }
		marks := 0
		nodes[0].before.set(func(step string) {
			nodes[0].fail(nil)
			if step == stepSent {
				if marks++; marks == 2 {
					nodes[0].fail(errDown)
				}
			}
		})
		if _, err := nodes[0].Credential(t.Context()); err == nil {
			t.Error("there is a token")
		}
		nodes[1].mustHaveAfter(t, "access-2", time.Second)
	})
}

// TestSecondMarkOverAnother: the mark for the second request lands over the claim of a node that
// has taken over. It stays there, for a third node would redeem what the second one redeems if it
// saw no claim.
func TestSecondMarkOverAnother(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(3)
		herd(t, nodes, 1, 0)
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate { return fate{back: 6 * time.Second} }
		redeem := nodes[0].set.Redeem
		asked := 0
		nodes[0].set.Redeem = func(ctx context.Context, _ func() []string, mine *record.Token) (*provider.Answer, error) {
			if asked++; asked > 1 {
				return redeem(ctx, nil, mine)
			}
			time.Sleep(14 * time.Second) // it never comes to the provider
			return nil, &provider.Error{Delivery: provider.Lost, Host: "provider", Err: errors.New("no answer in time")}
		}
		nodes[0].delaySecondMark(4600 * time.Millisecond)
		var all sync.WaitGroup
		for i, wait := range []time.Duration{time.Second, 19500 * time.Millisecond, 0} {
			all.Go(func() { _, _ = nodes[i].Credential(context.Background()) })
			time.Sleep(wait)
		}
		all.Wait()
		time.Sleep(time.Minute)
		if w.p.dead || len(w.p.twice()) > 0 || w.p.calls() == 0 {
			t.Errorf("withdrawn: %t; redeemed twice: %v; %d calls", w.p.dead, w.p.twice(), w.p.calls())
		}
	})
}

// TestLateClaimOfMove: the claim of a move lands late, over a newer generation, and a request
// comes to the same node then.
func TestLateClaimOfMove(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		w.ring = seal.NewRing(older)
		w.connected(1)[0].kill()
		a, b := withRing(w.node(), newer, older), withRing(w.node(), newer, older)
		herd(t, []*node{a, b}, 1, 0)
		time.Sleep(90 * time.Second)
		var once atomic.Bool
		a.before.set(func(step string) {
			if step == stepClaim && once.CompareAndSwap(false, true) {
				time.Sleep(1500 * time.Millisecond)
			}
		})
		go a.move(context.Background())
		time.Sleep(50 * time.Millisecond)
		go b.Credential(context.Background())
		time.Sleep(2 * time.Second)
		herd(t, []*node{a}, 1, 0)
		time.Sleep(time.Minute)
		if w.p.dead || len(w.p.twice()) > 0 {
			t.Errorf("withdrawn: %t; redeemed twice: %v", w.p.dead, w.p.twice())
		}
	})
}
