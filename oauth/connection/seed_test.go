// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// sown starts a node whose configuration has a refresh token in it.
func (w *world) sown(seed string) *node {
	n := w.node()
	n.set.Seed = func() (string, error) { return seed, nil }
	return n
}

// has fails unless the node sends that token, however long that takes.
func (n *node) has(t *testing.T, want string) {
	t.Helper()
	c, err := n.Credential(t.Context())
	if got := sent(c); err != nil || got != want {
		t.Errorf("%q is sent, want %q: %v", got, want, err)
	}
}

// TestSeed: a refresh token of the operator's connects the account with the first request, once
// for all nodes, and what has come of it since counts more.
func TestSeed(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		w.p.connect()
		n := w.sown("refresh-0")
		n.has(t, "access-1")
		other := w.sown("refresh-0")
		other.has(t, "access-1")
		if !sow(t.Context(), other.set) || w.p.calls() != 1 {
			t.Errorf("%d requests for one token", w.p.calls())
		}
		time.Sleep(11 * time.Minute)
		n.has(t, "access-2")
		if got := n.stored(); got.Refresh != "refresh-2" || got.Seed != digestOf("refresh-0") || got.Connected.IsZero() {
			t.Errorf("refresh %s, seed %s, connected %v", got.Refresh, got.Seed, got.Connected)
		}
		if w.p.dead {
			t.Error("the provider has seen a refresh token twice")
		}
	})
}

// TestSeedOfMany: nodes that start at once redeem the seed once, as far as there is a lock.
func TestSeedOfMany(t *testing.T) {
	p := &issuer{mode: rotateStrict, life: 10 * time.Minute}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, lockers()["good"])
		defer w.finish()
		w.p.connect()
		nodes := []*node{w.sown("refresh-0"), w.sown("refresh-0"), w.sown("refresh-0")}
		herd(t, nodes, 3, 0)
		expire(t, w, nodes, time.Second, 2)
		if token := w.p.twice(); token != "" || w.p.dead {
			t.Errorf("%s was redeemed twice, dead: %t", token, w.p.dead)
		}
	})
}

// TestSeedChanged: another seed takes the place of what is stored, if the provider takes it; if
// not, nothing is lost, and the provider is not asked again and again.
func TestSeedChanged(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		w.p.connect()
		w.sown("refresh-0").has(t, "access-1")
		bad := w.sown("no-such-token")
		for range 5 {
			if !sow(t.Context(), bad.set) && w.p.calls() > 2 {
				t.Error("it is not done")
			}
			bad.has(t, "access-1")
		}
		if w.p.calls() != 2 || bad.stored().Refresh != "refresh-1" {
			t.Errorf("%d requests, refresh %s", w.p.calls(), bad.stored().Refresh)
		}
		time.Sleep(11 * time.Minute)
		bad.has(t, "access-2")
		if w.p.calls() != 3 {
			t.Errorf("%d requests: a renewal offers the refused seed again", w.p.calls())
		}

		w.p.mu.Lock()
		w.p.good["another"] = true
		w.p.mu.Unlock()
		n := w.sown("another")
		if !sow(t.Context(), n.set) {
			t.Error("it is not done")
		}
		n.has(t, "access-3")
		if got := n.stored(); got.Seed != digestOf("another") || got.Refresh != "refresh-3" {
			t.Errorf("seed %s, refresh %s", got.Seed, got.Refresh)
		}
	})
}

// TestSeedDisconnected: an account that was disconnected does not come back by the seed that it
// came of.
func TestSeedDisconnected(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		w.p.connect()
		n := w.sown("refresh-0")
		n.has(t, "access-1")
		if err := n.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := w.sown("refresh-0")
		sow(t.Context(), again.set)
		if _, err := again.Credential(t.Context()); err == nil || w.p.calls() != 1 {
			t.Errorf("%v after %d requests", err, w.p.calls())
		}
		w.p.mu.Lock()
		w.p.good["another"] = true
		w.p.mu.Unlock()
		fresh := w.sown("another")
		sow(t.Context(), fresh.set)
		fresh.has(t, "access-2")
	})
}

// TestSeedFails: while nothing is stored, a seed that cannot be redeemed is told of, and tried
// again, ever more rarely.
func TestSeedFails(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		w.p.connect()
		w.p.decide(func(n int) fate {
			if n < 3 {
				return fate{err: &provider.Error{Status: http.StatusServiceUnavailable}}
			}
			return fate{}
		})
		n := w.sown("refresh-0")
		if sow(t.Context(), n.set) {
			t.Error("a failure is called done")
		}
		if _, err := n.Credential(t.Context()); err == nil || w.p.calls() != 1 {
			t.Errorf("%v after %d requests", err, w.p.calls())
		}
		if st, err := n.Status(t.Context()); err != nil || st.LastError != "status_503" || st.State != StateFailing {
			t.Errorf("%+v, %v", st, err)
		}
		time.Sleep(time.Minute)
		_, _ = n.Credential(t.Context())
		time.Sleep(time.Minute)
		n.has(t, "access-1")
	})
}
