// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// reads counts what a node reads.
func (n *node) reads() *atomic.Int64 {
	count := new(atomic.Int64)
	n.before.set(func(step string) {
		if step == stepLoad {
			count.Add(1)
		}
	})
	return count
}

// TestUnknownUser: whoever has no connection costs at most one read of the storage a second, and
// is served within about a second after another node has connected the account.
func TestUnknownUser(t *testing.T) {
	bubble(t, &issuer{life: time.Hour}, func(t *testing.T, w *world) {
		a, b := w.node(), w.node()
		reads := a.reads()
		for range 1000 {
			_, err := a.Credential(t.Context())
			if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonNotConnected {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := reads.Load(); got < 9 || got > 11 {
			t.Errorf("%d reads in 10 s", got)
		}
		if err := b.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for {
			if _, err := a.Credential(t.Context()); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > 1100*time.Millisecond {
			t.Errorf("it was served after %v", took)
		}
	})
}

// TestAdopts: a node sees what another has refreshed, and asks nobody itself.
func TestAdopts(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		if err := nodes[0].Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 25 {
			time.Sleep(time.Second)
			_, _ = nodes[1].Credential(t.Context())
		}
		synctest.Wait()
		nodes[1].mustHave(t, "access-1")
		// The API has refused the old one on a node that has not looked yet.
		old, _ := nodes[0].Credential(t.Context())
		if err := nodes[1].Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, err := nodes[0].Refresh(t.Context(), old); err != nil || sent(c) != "access-2" || w.p.calls() != 2 {
			t.Errorf("%s, %v, %d calls", sent(c), err, w.p.calls())
		}
	})
}

// TestRollback: the storage is restored from a backup, or loses a write, or the record: what is in
// memory counts.
func TestRollback(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		key, backup := w.disk.Only(t)
		if err := n.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func(){
			"a backup":       func() { _ = w.disk.Store(t.Context(), key, backup) },
			"a lost record":  func() { _ = w.disk.Delete(t.Context(), key) },
			"a torn record":  func() { _ = w.disk.Store(t.Context(), key, backup[:40]) },
			"an empty one":   func() { _ = w.disk.Store(t.Context(), key, []byte{}) },
			"a flipped bit":  func() { _ = w.disk.Store(t.Context(), key, append(backup[:60:60], 'x')) },
			"a wrong number": func() { _ = w.disk.Store(t.Context(), key, append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 99}, backup[9:]...)) },
		} {
			time.Sleep(time.Minute)
			_, _ = n.Credential(t.Context())
			spoil()
			for range 40 {
				n.mustHave(t, "access-1")
				time.Sleep(time.Second)
			}
			if got := n.stored(); got == nil || got.Generation != 2 || got.Access != "access-1" {
				t.Errorf("%s was not mended: %+v", name, got)
				_ = n.records().save(t.Context(), n.conn.token.Load())
			}
		}
		if err := n.Renew(t.Context()); err != nil || w.p.dead {
			t.Errorf("%v; withdrawn: %t", err, w.p.dead)
		}
	})
}

// TestDamagedAtStart: nothing is in memory. The record is put aside, people are told, and a
// connect mends it.
func TestDamagedAtStart(t *testing.T) {
	for cut := range 12 {
		bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
			w.connected(1)[0].kill() // or it would mend that
			key, val := w.disk.Only(t)
			_ = w.disk.Store(t.Context(), key, val[:cut*len(val)/12])
			n := w.node()
			for range 5 {
				_, err := n.Credential(t.Context())
				if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonDamaged {
					t.Fatalf("cut %d: %v", cut, err)
				}
				time.Sleep(2 * time.Second)
			}
			if st, err := n.Status(t.Context()); err != nil || st.State != StateReauthorize || st.LastError != string(record.ReasonDamaged) {
				t.Errorf("%+v, %v", st, err)
			}
			if aside, err := w.disk.Load(t.Context(), key+".damaged"); err != nil || len(aside) != cut*len(val)/12 {
				t.Errorf("%d bytes are put aside, %v", len(aside), err)
			}
			fresh := w.p.connect()
			if err := n.Install(t.Context(), fresh); err != nil {
				t.Fatal(err)
			}
			for _, n := range []*node{n, w.node()} {
				if _, err := n.Credential(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFlakyStorage: with a storage that fails in one of two uses, no request fails while the token
// is valid.
func TestFlakyStorage(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(3)
		herd(t, nodes, 1, 0)
		var uses atomic.Int64
		for _, n := range nodes {
			n.before.set(func(string) {
				if uses.Add(1)%2 == 0 {
					n.fail(errDown)
				} else {
					n.fail(nil)
				}
			})
		}
		for range 595 {
			time.Sleep(time.Second)
			for i, n := range nodes {
				begin := time.Now()
				if _, err := n.Credential(t.Context()); err != nil || time.Since(begin) > 0 {
					t.Fatal(fmt.Sprintf("node %d after %v", i, time.Since(begin)), err)
				}
			}
		}
		if w.p.dead {
			t.Error("withdrawn")
		}
	})
}
