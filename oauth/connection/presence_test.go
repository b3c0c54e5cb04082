// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// slow has each write of the node take as long, before it lands and after. What it returns says
// whether the node has redeemed something that is not stored.
func (n *node) slow(takes func() time.Duration) (holds *atomic.Bool) {
	holds = new(atomic.Bool)
	write := func(step string) bool {
		return step == stepEntry || step == stepClaim || step == stepSent || step == stepStore
	}
	n.before.set(func(step string) {
		if step == stepRedeem {
			holds.Store(true)
		}
		if write(step) {
			time.Sleep(takes() / 2)
		}
	})
	n.after.set(func(step string) {
		if write(step) {
			time.Sleep(takes() / 2)
		}
		if step == stepStore {
			holds.Store(false)
		}
	})
	return holds
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// leave ends the process in good order.
func (n *node) leave(t *testing.T) {
	t.Helper()
	if err := n.set.pool.Destruct(); err != nil {
		t.Error(err)
	}
}

// keepUp has the entry of a node kept alive, as Keep does.
func (p *presence) keepUp(ctx context.Context) {
	s := schedule{from: time.Now().Add(maintainDelay)}
	s.add(s.from, &p.beats.clock, p.keep)
	s.run(ctx)
}

// TestAloneWithSlowWrites: a node that is alone, with a storage that takes long for a write,
// has the next token after the writes that are needed and the time that a claim must stand: the
// entry where it is old, the claim, the mark and the token.
func TestAloneWithSlowWrites(t *testing.T) {
	for _, takes := range []time.Duration{10 * time.Millisecond, 400 * time.Millisecond, 1600 * time.Millisecond} {
		most := 4*takes + settleTime + lateAfter + 50*time.Millisecond
		began := map[string]func(t *testing.T, w *world, n *node) *node{
			"at once": func(_ *testing.T, _ *world, n *node) *node { return n },
			"after a restart": func(t *testing.T, w *world, n *node) *node {
				n.leave(t)
				n.kill()
				next := w.node()
				next.slow(always(takes))
				return next
			},
			"a while after it was killed": func(t *testing.T, w *world, n *node) *node {
				n.kill()
				next := w.node()
				next.slow(always(takes))
				next.set.presence.look(t.Context())
				time.Sleep(silentAfter + time.Second)
				return next
			},
			"a while after another one had gone": func(t *testing.T, w *world, n *node) *node {
				other := w.node()
				if err := other.Renew(t.Context()); err != nil {
					t.Error(err)
				}
				other.leave(t)
				other.kill()
				time.Sleep(announcedFor) // until the next entry is due
				return n
			},
		}
		for name, begin := range began {
			t.Run(fmt.Sprintf("%s, %v", name, takes), func(t *testing.T) {
				bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
					n := w.connected(1)[0]
					n.slow(always(takes))
					n = begin(t, w, n)
					for range 10 {
						time.Sleep(time.Minute + time.Duration(rand.Int64N(int64(10*time.Minute))))
						began := time.Now()
						if _, err := n.Credential(t.Context()); err != nil || time.Since(began) > most {
							t.Fatalf("after %v, want %v: %v", time.Since(began), most, err)
						}
					}
					if w.p.dead || w.p.twice() != "" {
						t.Errorf("withdrawn: %t; redeemed twice: %q", w.p.dead, w.p.twice())
					}
				})
			})
		}
	}
}

// TestMoveWithSlowWrites: the keeper of a node that is alone moves records to another key,
// however slow the storage is.
func TestMoveWithSlowWrites(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		a := withRing(w.node(), older)
		if err := a.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		a.leave(t)
		a.kill()
		b := withRing(w.node(), newer, older)
		w.ring = seal.NewRing(newer)
		b.slow(always(time.Second))
		if err := b.move(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := withRing(w.node(), newer); c.stored() == nil {
			t.Error("it was not moved")
		}
	})
}

// TestComingAndGoing: nodes with slow writes begin, end and are killed at any time while tokens
// expire. No refresh token is redeemed twice, and no grant is lost: none is killed while it has
// an answer that is not stored.
func TestComingAndGoing(t *testing.T) {
	for _, most := range []time.Duration{400 * time.Millisecond, time.Second, 2 * time.Second} {
		for name, end := range map[string]func(t *testing.T, n *node){
			"ending": func(t *testing.T, n *node) { n.leave(t); n.kill() },
			"killed": func(_ *testing.T, n *node) { n.kill() },
		} {
			t.Run(fmt.Sprintf("%s, %v", name, most), func(t *testing.T) {
				for range 3 {
					bubble(t, &issuer{mode: rotateStrict, life: 5 * time.Minute}, func(t *testing.T, w *world) {
						comeAndGo(t, w, func() time.Duration { return time.Duration(rand.Int64N(int64(most))) }, end)
						if w.p.dead || w.p.twice() != "" || w.p.issued < 20 {
							t.Errorf("withdrawn: %t; redeemed twice: %q; %d tokens", w.p.dead, w.p.twice(), w.p.issued)
						}
					})
				}
			})
		}
	}
}

// comeAndGo has two nodes, and those that take their places, renew a token for two hours.
func comeAndGo(t *testing.T, w *world, takes func() time.Duration, end func(*testing.T, *node)) {
	t.Helper()
	var places sync.WaitGroup
	stop := time.Now().Add(2 * time.Hour)
	for _, n := range w.connected(2) {
		places.Go(func() {
			for ; time.Now().Before(stop); n = w.node() {
				holds := n.slow(takes)
				ctx, cancel := context.WithCancel(t.Context())
				go n.set.presence.keepUp(ctx)
				for life := time.Now().Add(time.Duration(rand.Int64N(int64(20 * time.Minute)))); time.Now().Before(life); {
					asking, enough := context.WithTimeout(ctx, 2*time.Minute)
					_, _ = n.Credential(asking)
					enough()
					time.Sleep(time.Duration(rand.Int64N(int64(7 * time.Second))))
				}
				cancel()
				for holds.Load() {
					time.Sleep(10 * time.Millisecond)
				}
				end(t, n)
				time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Second))))
			}
		})
	}
	places.Wait()
}

// TestRivalOfAMoment: while the claim of a node is on its way, another one begins, renews the
// token, and ends. The claim lies over what that one has stored, and nobody is there to mend it
// but the storage's list of nodes. It is not redeemed at once.
func TestRivalOfAMoment(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, n *node){
		"ended":   func(t *testing.T, n *node) { n.leave(t) },
		"is here": func(*testing.T, *node) {},
	} {
		for _, step := range []string{stepClaim, stepSent} {
			t.Run(name+" at "+step, func(t *testing.T) {
				bubble(t, &issuer{mode: rotateNever, life: time.Minute}, func(t *testing.T, w *world) {
					a := w.connected(1)[0]
					time.Sleep(time.Minute)
					var once atomic.Bool
					a.before.set(func(at string) {
						if at == step && once.CompareAndSwap(false, true) {
							time.Sleep(4800 * time.Millisecond)
						}
					})
					var asking sync.WaitGroup
					asking.Go(func() { _, _ = a.Credential(context.Background()) })
					time.Sleep(800 * time.Millisecond)
					b := w.node()
					b.mustHaveAfter(t, "access-1", 4*time.Second)
					end(t, b)
					asking.Wait()
					if calls := w.p.times; len(calls) > 1 && calls[1].Sub(calls[0]) < 20*time.Second {
						t.Errorf("the claim that had come late was used %v after another node's", calls[1].Sub(calls[0]))
					}
				})
			})
		}
	}
}

// TestRivalWithoutEntry: a record that a node of an earlier version has written, which has no
// entry, speaks for that node.
func TestRivalWithoutEntry(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		old, a := w.node(), w.node()
		old.set.presence, old.records().store.Announce, old.records().store.Node = nil, nil, ""
		if err := old.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		a.slow(always(time.Second))
		for i, waits := range []bool{true, false} {
			time.Sleep(time.Minute)
			began := time.Now()
			if _, err := a.Credential(t.Context()); err != nil || time.Since(began) > 20*time.Second != waits {
				t.Errorf("renewal %d after %v: %v", i, time.Since(began), err)
			}
		}
	})
}

// TestUncertainPresence: whatever cannot be known speaks for others.
func TestUncertainPresence(t *testing.T) {
	for name, spoil := range map[string]func(w *world, n *node){
		"nothing": nil,
		"a list that fails": func(w *world, _ *node) {
			w.disk.FailWith(func(_ context.Context, op, _ string) error {
				if op == "List" {
					return errDown
				}
				return nil
			})
		},
		"an entry that cannot be read": func(w *world, n *node) {
			w.disk.Put(path.Join(n.set.presence.folder, "another"), []byte(`{}`))
			w.disk.FailWith(func(_ context.Context, op, key string) error {
				if op == "Load" && path.Base(key) == "another" {
					return errDown
				}
				return nil
			})
		},
		"an entry that is being written": func(w *world, n *node) { w.disk.Put(path.Join(n.set.presence.folder, "another"), nil) },
		"a list without the own entry": func(w *world, n *node) {
			_ = w.disk.Memory.Delete(context.Background(), path.Join(n.set.presence.folder, n.set.presence.name))
		},
		"a crowd": func(w *world, n *node) {
			for i := range maxEntries {
				w.disk.Put(path.Join(n.set.presence.folder, fmt.Sprintf("other-%d", i)), []byte(`{"gone":true}`))
			}
		},
	} {
		bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
			n := w.connected(1)[0]
			n.slow(always(time.Second))
			time.Sleep(time.Minute)
			if err := n.set.presence.announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if spoil != nil {
				spoil(w, n)
			}
			began := time.Now()
			if _, err := n.Credential(t.Context()); err != nil || time.Since(began) > 20*time.Second != (spoil != nil) {
				t.Errorf("%s: after %v: %v", name, time.Since(began), err)
			}
			w.disk.FailWith(nil)
		})
	}
}

// TestNoEntryNoWrite: a node whose entry cannot be written, or that was suspended since, writes
// no record before it is.
func TestNoEntryNoWrite(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		time.Sleep(announcedFor)
		w.disk.FailWith(func(_ context.Context, op, key string) error {
			if op == "Store" && oauthtest.IsEntry(key) {
				return errDown
			}
			return nil
		})
		if _, err := n.Credential(t.Context()); !errors.Is(err, errDown) || n.stored().Claim != nil || w.p.calls() != 0 {
			t.Errorf("%v; the claim is %+v", err, n.stored().Claim)
		}
		w.disk.FailWith(nil)
		time.Sleep(2 * time.Second)
		n.mustHaveAfter(t, "access-1", time.Second)
	})
}

// TestEntriesAreForgotten: what nodes that are no more have left is removed after a while, and
// those that are there keep their entries.
func TestEntriesAreForgotten(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(3)
		for _, n := range nodes[:2] {
			_ = n.set.presence.announce(t.Context())
		}
		nodes[0].leave(t)
		nodes[1].kill()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := nodes[2].set.presence
		go p.keepUp(ctx)
		time.Sleep(30 * time.Minute)
		if names, _ := w.disk.List(t.Context(), p.folder, false); len(names) != 3 {
			t.Errorf("%q are there after half an hour", names)
		}
		time.Sleep(40 * time.Minute)
		if names, _ := w.disk.List(t.Context(), p.folder, false); len(names) != 1 || path.Base(names[0]) != p.name {
			t.Errorf("%q are there after an hour and more", names)
		}
	})
}

// TestTwoWithShortLease: where the lease is shorter than half of the wait of who was late, the
// claim is marked more often in the meantime, or two nodes with slow writes would take it from
// each other again and again.
func TestTwoWithShortLease(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second} {
		bubble(t, &issuer{mode: rotateStrict, life: 5 * time.Minute}, func(t *testing.T, w *world) {
			nodes := w.connected(2)
			_ = nodes[1].set.presence.announce(t.Context())
			for _, n := range nodes {
				n.set.lease = lockPatience + timeout + leaseSlack
				n.slow(always(time.Second))
			}
			for range 5 {
				time.Sleep(5 * time.Minute)
				var asking sync.WaitGroup
				for i, n := range nodes {
					asking.Go(func() {
						time.Sleep(time.Duration(i) * 400 * time.Millisecond)
						if _, err := n.Credential(t.Context()); err != nil {
							t.Errorf("%v, node %d: %v", timeout, i, err)
						}
					})
				}
				asking.Wait()
			}
			if w.p.dead || w.p.twice() != "" || w.p.issued != 5 {
				t.Errorf("%v: withdrawn: %t; redeemed twice: %q; %d tokens", timeout, w.p.dead, w.p.twice(), w.p.issued)
			}
		})
	}
}
