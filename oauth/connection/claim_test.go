// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestKilledNodes kills the process that refreshes at each step, and starts another one. With a
// provider that never rotates, or allows a grace time, the grant lives; with a strict one it is
// lost only if the answer was, and is said to be.
func TestKilledNodes(t *testing.T) {
	crash := leaseClaimed + time.Second
	lease := lockPatience + timeout + leaseSlack + settleTime + time.Second
	for _, step := range []struct {
		name  string
		step  string
		after bool
		lost  bool          // by a strict provider
		waits time.Duration // of the new process, without a valid token, at most
	}{
		{"before the claim", stepClaim, false, false, time.Second},
		{"after the claim", stepClaim, true, false, crash},
		{"before sent", stepSent, false, false, crash},
		{"after sent", stepSent, true, false, lease},
		{"before the request", stepRedeem, false, false, lease},
		{"answered, not read", stepRedeem, true, true, lease},
		{"read, not stored", stepStore, false, true, lease},
		{"stored", stepStore, true, false, 0},
	} {
		for _, mode := range []rotation{rotateNever, rotateGrace, rotateStrict} {
			t.Run(step.name+"/"+mode.String(), func(t *testing.T) {
				bubble(t, &issuer{mode: mode, life: time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
					n := w.connected(1)[0]
					time.Sleep(time.Minute)
					die := func(at string) {
						if at == step.step {
							n.kill()
						}
					}
					if step.after {
						n.after.set(die)
					} else {
						n.before.set(die)
					}
					go n.Credential(t.Context())
					time.Sleep(2 * time.Second)
					if !n.killed() {
						t.Fatal("it was not killed")
					}
					successor := w.node()
					begin := time.Now()
					_, err := successor.Credential(t.Context())
					waited := time.Since(begin)
					e, lost := errors.AsType[*record.AuthorizationError](err)
					switch {
					case step.lost && mode == rotateStrict:
						waited -= settleTime // it is asked twice
						if !lost || e.Reason != record.ReasonLost {
							t.Errorf("the loss is called %v", err)
						}
						if st, err := successor.Status(t.Context()); err != nil || st.LastError != string(record.ReasonLost) || st.State != StateReauthorize {
							t.Errorf("status %+v, %v", st, err)
						}
					case err != nil:
						t.Errorf("it is lost: %v", err)
					}
					if waited > step.waits {
						t.Errorf("it took %v, want %v at most", waited, step.waits)
					}
					t.Logf("%v", waited)
				})
			})
		}
	}
}

// TestKilledUnseen: the same while the token is valid: no request fails or waits.
func TestKilledUnseen(t *testing.T) {
	for _, step := range []string{stepClaim, stepSent, stepRedeem, stepStore} {
		for _, mode := range []rotation{rotateNever, rotateGrace} {
			bubble(t, &issuer{mode: mode, life: 10 * time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
				nodes := w.connected(2)
				herd(t, nodes, 1, 0)
				time.Sleep(8 * time.Minute)
				nodes[0].after.set(func(at string) {
					if at == step {
						nodes[0].kill()
					}
				})
				for range 180 {
					time.Sleep(time.Second)
					if !nodes[0].killed() {
						_, _ = nodes[0].Credential(t.Context())
						synctest.Wait()
						continue
					}
					begin := time.Now()
					if _, err := nodes[1].Credential(t.Context()); err != nil || time.Since(begin) > 0 {
						t.Fatalf("%s, %v: after %v: %v", step, mode, time.Since(begin), err)
					}
				}
				if got := nodes[1].stored(); got.Generation != 2 || !nodes[0].killed() {
					t.Errorf("%s, %v: generation %d", step, mode, got.Generation)
				}
			})
		}
	}
}

// TestKilledTwice: whoever comes after a crash may crash, or fail, too. What is lost is still
// called that.
func TestKilledTwice(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		first := w.connected(1)[0]
		time.Sleep(time.Minute)
		kill := func(n *node, at string) {
			n.after.set(func(step string) {
				if step == at {
					n.kill()
				}
			})
		}
		kill(first, stepRedeem)
		go first.Credential(t.Context())
		time.Sleep(2 * time.Second)
		second := w.node()
		kill(second, stepClaim)
		go second.Credential(t.Context())
		time.Sleep(time.Minute)
		if !second.killed() {
			t.Fatal("it was not killed")
		}
		third := w.node()
		w.p.fate = func(n int) fate {
			if n == 2 {
				return fate{err: &provider.Error{Status: 503}}
			}
			return fate{}
		}
		if _, err := third.Credential(t.Context()); err == nil {
			t.Fatal("the provider was down")
		}
		time.Sleep(2 * time.Second)
		_, err := third.Credential(t.Context())
		if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonLost {
			t.Errorf("the loss is called %v", err)
		}
	})
}

// TestPausedNodes stops a process for a while at each step, before the step has an effect and
// after. Others go on without it. The refresh token is redeemed once, or the provider forgives.
func TestPausedNodes(t *testing.T) {
	for _, pause := range []time.Duration{5 * time.Second, 15 * time.Second, time.Minute} {
		for _, step := range []string{stepLoad, stepClaim, stepSent, stepRedeem, stepStore} {
			for _, after := range []bool{false, true} {
				for _, mode := range []rotation{rotateGrace, rotateStrict} {
					paused(t, mode, step, after, pause)
				}
			}
		}
	}
}

func paused(t *testing.T, mode rotation, step string, after bool, pause time.Duration) {
	t.Helper()
	name := mode.String() + ", " + map[bool]string{false: "before ", true: "after "}[after] + step + ", " + pause.String()
	bubble(t, &issuer{mode: mode, life: 10 * time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
		nodes := w.connected(3)
		herd(t, nodes, 1, 0)
		time.Sleep(8*time.Minute + 30*time.Second)
		var once atomic.Bool
		stop := func(at string) {
			if at == step && time.Since(w.p.connectedAt) > 8*time.Minute && once.CompareAndSwap(false, true) {
				time.Sleep(pause)
			}
		}
		if after {
			nodes[0].after.set(stop)
		} else {
			nodes[0].before.set(stop)
		}
		broken := 0
		for end := time.Now().Add(20 * time.Minute); time.Now().Before(end); time.Sleep(time.Duration(900+rand.IntN(200)) * time.Millisecond) {
			for i, n := range nodes {
				if i > 0 && !once.Load() {
					break // the others come when the first one is stopped
				}
				if _, err := n.Credential(t.Context()); err != nil {
					if broken++; broken == 1 {
						t.Logf("%s: node %d: %v", name, i, err)
					}
				}
			}
		}
		twice := w.p.twice()
		switch {
		case !once.Load():
			t.Errorf("%s: it was not paused", name)
		case mode == rotateStrict && w.p.dead:
			// The windows that nobody can close: it slept over its lease with the request on its
			// way.
			if pause < time.Minute || step != stepRedeem {
				t.Errorf("%s: withdrawn", name)
			}
		case broken > 0:
			t.Errorf("%s: %d requests have failed", name, broken)
		case twice != "" && pause < time.Minute:
			t.Errorf("%s: %s was redeemed twice", name, twice)
		}
	})
}

// TestSplitBrain: two nodes do not see each other's storage for a minute, in which the token
// expires; then both sides are one again. With a provider that forgives nothing is lost; with a
// strict one it is, and that is said.
func TestSplitBrain(t *testing.T) {
	for _, mode := range []rotation{rotateNever, rotateGrace, rotateStrict} {
		t.Run(mode.String(), func(t *testing.T) {
			bubble(t, &issuer{mode: mode, life: time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
				nodes := w.connected(2)
				herd(t, nodes, 1, 0)
				time.Sleep(30 * time.Second)
				side := newDisk(lockers()["no-op"])
				key, val := w.disk.Only(t)
				_ = side.Store(t.Context(), key, val)
				nodes[1].mount(side)
				for range 60 {
					time.Sleep(time.Second)
					for _, n := range nodes {
						_, _ = n.Credential(t.Context())
					}
				}
				nodes[1].mount(w.disk)
				failed := 0
				for range 600 {
					time.Sleep(time.Second)
					for _, n := range nodes {
						if _, err := n.Credential(t.Context()); err != nil {
							failed++
							if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || mode != rotateStrict || e.Reason == record.ReasonNotConnected {
								t.Fatal(err)
							}
						}
					}
				}
				if mode == rotateStrict && failed == 0 {
					t.Error("nothing was lost; the test is of no use")
				}
			})
		})
	}
}
