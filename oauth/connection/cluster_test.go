// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// herd has all nodes asked within a time, by several callers each. It returns how long the slowest
// waited.
func herd(t *testing.T, nodes []*node, callers int, spread time.Duration) time.Duration {
	t.Helper()
	var slowest atomic.Int64
	var users sync.WaitGroup
	for i, n := range nodes {
		late := time.Duration(rand.Int64N(int64(spread) + 1))
		for range callers {
			users.Go(func() {
				time.Sleep(late)
				begin := time.Now()
				if _, err := n.Credential(t.Context()); err != nil {
					t.Errorf("node %d after %v: %v", i, time.Since(begin), err)
				}
				for took := int64(time.Since(begin)); ; {
					if old := slowest.Load(); took <= old || slowest.CompareAndSwap(old, took) {
						return
					}
				}
			})
		}
	}
	users.Wait()
	return time.Duration(slowest.Load())
}

// expire has a token expire and everybody ask then, again and again. It returns how long the
// slowest waited.
func expire(t *testing.T, w *world, nodes []*node, spread time.Duration, times int) (slowest time.Duration) {
	t.Helper()
	for range times {
		time.Sleep(w.p.life + time.Duration(rand.Int64N(int64(time.Second))))
		slowest = max(slowest, herd(t, nodes, 3, spread))
		if token := w.p.twice(); token != "" || w.p.dead {
			t.Fatalf("%s was redeemed twice; withdrawn: %t", token, w.p.dead)
		}
		if t.Failed() {
			break
		}
	}
	return slowest
}

// TestExpiredHerds: nobody has asked in time, so all nodes find the token expired at the same
// moment: the worst case for claims. A hundred times over, on each kind of lock, no refresh token
// is redeemed twice.
func TestExpiredHerds(t *testing.T) {
	for name, lock := range lockers() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &issuer{mode: rotateStrict, life: time.Minute}, lock)
				defer w.finish()
				w.p.fate = func(int) fate { return fate{takes: 50 * time.Millisecond} }
				nodes := w.connected(8)
				slowest := expire(t, w, nodes, 0, 100)
				if w.p.issued != 100 || slowest > 3*time.Second {
					t.Errorf("%d redemptions, want 100; the slowest caller waited %v", w.p.issued, slowest)
				}
				t.Logf("the slowest caller waited %v", slowest)
			})
		})
	}
}

// TestStaleReads: replicas may lag behind by up to 200 ms, each read by another time.
func TestStaleReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &issuer{mode: rotateStrict, life: time.Minute}, nil)
		defer w.finish()
		nodes := w.connected(8)
		w.disk.stale = func() time.Duration { return time.Duration(rand.Int64N(int64(200 * time.Millisecond))) }
		for _, n := range nodes { // the times at which nodes read and write differ
			n.before.set(func(string) { time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))) })
		}
		slowest := expire(t, w, nodes, time.Second, 150)
		t.Logf("%d redemptions; the slowest caller waited %v", w.p.issued, slowest)
	})
}

// TestSlowStorages: each use of the storage takes long. A claim that takes longer than others
// respect it must not be trusted.
func TestSlowStorages(t *testing.T) {
	for _, most := range []time.Duration{200 * time.Millisecond, time.Second, 2 * time.Second} {
		t.Run(most.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, nil)
				defer w.finish()
				nodes := w.connected(4)
				slow := func(string) { time.Sleep(time.Duration(rand.Int64N(int64(most / 2)))) }
				for _, n := range nodes {
					n.before.set(slow)
					n.after.set(slow)
				}
				slowest := expire(t, w, nodes, most, 20)
				t.Logf("%d redemptions; the slowest caller waited %v", w.p.issued, slowest)
			})
		})
	}
}
