// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// withRing gives a node keys of its own; the first one seals.
func withRing(n *node, keys ...*seal.Key) *node {
	ring := seal.NewRing(keys[0], keys[1:]...)
	n.records().store.Keys = func() (*seal.Ring, error) { return ring, nil }
	return n
}

// TestLateWrite: a write of a claim begins before another node renews, disconnects or reconnects,
// and lands after that. The other node gets no request, and mends that all the same, before the
// late one goes on.
func TestLateWrite(t *testing.T) {
	actions := map[string]func(t *testing.T, w *world, other *node){
		"renewed": func(t *testing.T, _ *world, other *node) {
			if err := other.Renew(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"disconnected": func(t *testing.T, _ *world, other *node) {
			if err := other.Disconnect(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"reconnected": func(t *testing.T, w *world, other *node) {
			token := w.p.connect()
			token.Access, token.Refresh = "new-account", "new-refresh"
			w.p.good["new-refresh"], w.p.good["refresh-0"] = true, true
			if err := other.Install(t.Context(), token); err != nil {
				t.Error(err)
			}
		},
	}
	for name, act := range actions {
		for step, pause := range map[string]time.Duration{stepClaim: 900 * time.Millisecond, stepSent: 4500 * time.Millisecond} {
			for _, lock := range []string{"good", "no-op"} {
				t.Run(name+" at "+step+" with a "+lock+" lock", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, lockers()[lock])
						defer w.finish()
						nodes := w.connected(2)
						herd(t, nodes, 1, 0)
						time.Sleep(9*time.Minute + 5*time.Second)
						lateWrite(t, w, nodes, step, pause, act)
						if name == "disconnected" {
							for _, n := range nodes {
								if _, err := n.Credential(t.Context()); !isAuthorization(err, record.ReasonDisconnected) {
									t.Errorf("after it was disconnected: %v", err)
								}
							}
							return
						}
						want := w.p.access(1)
						if name == "reconnected" {
							want = "new-account"
						}
						for _, n := range nodes {
							if c, err := n.Credential(t.Context()); err != nil || sent(c) != want {
								t.Errorf("%s, %v, want %s", sent(c), err, want)
							}
						}
						if w.p.dead || len(w.p.twice()) > 0 {
							t.Errorf("withdrawn: %t; redeemed twice: %v", w.p.dead, w.p.twice())
						}
					})
				})
			}
		}
	}
}

// lateWrite has the first node be late with a write, while the other one acts, and waits for a
// minute.
func lateWrite(t *testing.T, w *world, nodes []*node, step string, pause time.Duration, act func(*testing.T, *world, *node)) {
	t.Helper()
	var once atomic.Bool
	nodes[0].before.set(func(at string) {
		if at == step && once.CompareAndSwap(false, true) {
			time.Sleep(pause)
		}
	})
	if _, err := nodes[0].Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	act(t, w, nodes[1])
	time.Sleep(time.Minute)
}

func isAuthorization(err error, reason record.Reason) bool {
	e, ok := errors.AsType[*record.AuthorizationError](err)
	return ok && e.Reason == reason
}

// TestLateMove: the same of a record that is moved to another key.
func TestLateMove(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		a, b := withRing(w.node(), newer, older), withRing(w.node(), newer, older)
		if err := withRing(w.node(), older).Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8*time.Minute + 45*time.Second)
		herd(t, []*node{a, b}, 1, 0)
		time.Sleep(18 * time.Second) // the token is near its end, and the record need not be read again yet
		var once atomic.Bool
		a.before.set(func(step string) {
			if step == stepStore && once.CompareAndSwap(false, true) {
				time.Sleep(4500 * time.Millisecond)
			}
		})
		go a.move(t.Context())
		time.Sleep(50 * time.Millisecond)
		herd(t, []*node{b}, 1, 0) // it renews the token before the write of the move lands
		time.Sleep(8 * time.Second)
		for range 120 {
			herd(t, []*node{a, b}, 1, 0)
			time.Sleep(10 * time.Second)
		}
		if !once.Load() || w.p.dead || len(w.p.twice()) > 0 {
			t.Errorf("withdrawn: %t; redeemed twice: %v", w.p.dead, w.p.twice())
		}
	})
}

// TestDeadClaimUnderOlderKey: a node dies with a claim under a key that is not the first one any
// more. The next node takes over.
func TestDeadClaimUnderOlderKey(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Minute}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		a := withRing(w.node(), older)
		if err := a.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		a.after.set(func(step string) {
			if step == stepSent {
				a.kill()
			}
		})
		go a.Credential(t.Context())
		time.Sleep(2 * time.Second)
		b := withRing(w.node(), newer, older)
		begin := time.Now()
		if _, err := b.Credential(t.Context()); err != nil || time.Since(begin) > b.set.lease+2*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

// TestIsolated: a node loses network and storage while its token request is under way, for longer
// than its lease. It does not ask again: another node may have.
func TestIsolated(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		time.Sleep(9*time.Minute + 5*time.Second)
		a, b := nodes[0], nodes[1]
		asked := 0
		a.before.set(func(step string) {
			if step != stepRedeem {
				return
			}
			if asked++; asked == 1 {
				a.fail(errHangs)
				time.AfterFunc(19500*time.Millisecond, func() { a.fail(nil) })
			}
		})
		w.p.fate = func(n int) fate {
			if n == 1 {
				return fate{takes: time.Hour} // it never comes there
			}
			return fate{}
		}
		redeem := a.set.Redeem
		a.set.Redeem = func(ctx context.Context, _ func() []string, mine *record.Token) (*provider.Answer, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return redeem(ctx, nil, mine)
		}
		herd(t, []*node{a}, 1, 0)
		for range 60 {
			time.Sleep(time.Second)
			herd(t, []*node{b}, 1, 0)
		}
		herd(t, nodes, 1, 0)
		if w.p.dead || asked != 1 || b.stored().Generation != 2 {
			t.Errorf("withdrawn: %t; the isolated node has asked %d times; generation %d", w.p.dead, asked, b.stored().Generation)
		}
	})
}

// TestStorageFailsForAMoment: a read fails after the claim was marked as sent. The request is
// served all the same.
func TestStorageFailsForAMoment(t *testing.T) {
	for name, reads := range map[string]int{"one read": 1, "all reads": 100} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
				nodes := w.connected(2)
				herd(t, nodes, 1, 0)
				time.Sleep(time.Minute)
				n, left := nodes[0], -1
				n.after.set(func(step string) {
					if step == stepSent {
						left = reads
					}
				})
				n.before.set(func(step string) {
					n.fail(nil)
					if step == stepLoad && left > 0 {
						left--
						n.fail(errDown)
					}
				})
				_, err := n.Credential(t.Context())
				n.before.set(nil)
				n.after.set(nil)
				n.fail(nil)
				if reads == 1 && (err != nil || w.p.calls() != 1) || reads > 1 && (err == nil || w.p.calls() != 0) {
					t.Errorf("%v, with %d token requests", err, w.p.calls())
				}
				herd(t, nodes[1:], 1, 0)
				if w.p.dead || w.p.calls() != 1 {
					t.Errorf("withdrawn: %t; %d token requests", w.p.dead, w.p.calls())
				}
			})
		})
	}
}

// TestClocksOfClaims: the claim of a node whose clock is a few minutes off is respected for as
// long as any other.
func TestClocksOfClaims(t *testing.T) {
	for _, off := range []time.Duration{-9 * time.Minute, -2 * time.Minute, 2 * time.Minute, time.Hour} {
		for _, sent := range []bool{false, true} {
			var w watch
			now := time.Now()
			c := &record.Claim{Owner: "another", Sent: sent, At: now.Add(off).UnixMilli()}
			lease := 17 * time.Second
			if w.expired(c, "me", lease, now) || w.expired(c, "me", lease, now.Add(leaseClaimed-1)) {
				t.Errorf("%v: a fresh claim counts as dead", off)
			}
			if !w.expired(c, "me", lease, now.Add(lease)) {
				t.Errorf("%v: an old claim counts", off)
			}
		}
	}
}

// delaySecondMark has the second mark of the node be written later.
func (n *node) delaySecondMark(pause time.Duration) {
	marks := 0
	n.before.set(func(step string) {
		if step == stepSent {
			if marks++; marks == 2 {
				time.Sleep(pause)
			}
		}
	})
}
