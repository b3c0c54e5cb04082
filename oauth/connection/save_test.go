// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// bubble runs a test of the cluster in virtual time.
func bubble(t *testing.T, p *issuer, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p, nil)
		defer w.finish()
		test(t, w)
	})
}

// mustHave fails unless the node sends that token now, without a wait.
func (n *node) mustHave(t *testing.T, want string) {
	t.Helper()
	begin := time.Now()
	c, err := n.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := sent(c); got != want || time.Since(begin) > 0 {
		t.Errorf("%s is sent after %v, want %s at once", got, time.Since(begin), want)
	}
}

// TestUnsaved: the answer cannot be stored. The token is served, stored as soon as that is
// possible, and a process that ends waits for it.
func TestUnsaved(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		n.after.set(func(step string) {
			if step == stepRedeem {
				n.fail(errDown)
			}
		})
		time.Sleep(9 * time.Minute)
		n.mustHave(t, "access-0")
		time.Sleep(5 * time.Second)
		n.mustHave(t, "access-1")
		if got := n.stored().Generation; got != 1 || !n.conn.busy() {
			t.Fatalf("generation %d is stored; busy: %t", got, n.conn.busy())
		}
		ended := make(chan error)
		begin := time.Now()
		go func() { ended <- n.set.pool.Destruct() }()
		time.Sleep(7500 * time.Millisecond)
		n.fail(nil)
		if err := <-ended; err != nil || time.Since(begin) > 9*time.Second {
			t.Errorf("it ended after %v with %v", time.Since(begin), err)
		}
		if got := n.stored(); got.Generation != 2 || got.Access != "access-1" || got.Claim != nil {
			t.Errorf("generation %d is stored", got.Generation)
		}
	})
}

// TestSpooled: what a process has left behind, and what others have done since.
func TestSpooled(t *testing.T) {
	type cluster struct {
		w            *world
		older, newer *seal.Key
		folder       string
	}
	start := func(t *testing.T, c *cluster, keys ...*seal.Key) *node {
		n := withRing(c.w.node(), keys...)
		n.records().store.Spool = c.folder
		return n
	}
	for name, test := range map[string]struct {
		run  func(t *testing.T, c *cluster) *node // returns the next process
		want string                               // "": it was disconnected
	}{
		"the first key is another one": {func(t *testing.T, c *cluster) *node {
			a := start(t, c, c.older)
			if err := a.Install(t.Context(), c.w.p.connect()); err != nil {
				t.Fatal(err)
			}
			if err := a.records().store.Leave(a.conn.token.Load().With(func(t *record.Token) { t.Generation++; t.Access = "spooled" })); err != nil {
				t.Fatal(err)
			}
			a.kill()
			return start(t, c, c.newer, c.older)
		}, "spooled"},
		"disconnected since": {func(t *testing.T, c *cluster) *node {
			b := start(t, c, c.older)
			b.records().store.Spool = "" // it is on another machine
			if err := b.Install(t.Context(), c.w.p.connect()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			a := start(t, c, c.older) // it knows nothing of what is stored, and must guess a generation
			a.fail(errDown)
			if err := a.Install(t.Context(), c.w.p.connect()); err != nil {
				t.Fatal(err)
			}
			if err := a.records().store.Leave(a.conn.token.Load()); err != nil {
				t.Fatal(err)
			}
			a.kill()
			time.Sleep(time.Minute)
			if err := b.Disconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			return start(t, c, c.older)
		}, ""},
		"the account before it was renewed since": {func(t *testing.T, c *cluster) *node {
			a, b := start(t, c, c.older), start(t, c, c.older)
			b.records().store.Spool = "" // it is on another machine
			if err := a.Install(t.Context(), c.w.p.connect()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			a.before.set(func(step string) {
				if step == stepStore {
					a.fail(errDown)
				}
			})
			token := c.w.p.connect()
			token.Access = "another account"
			if err := a.Install(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if err := a.records().store.Leave(a.conn.token.Load()); err != nil {
				t.Fatal(err)
			}
			a.kill()
			if err := b.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			return start(t, c, c.older)
		}, "another account"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
				c := &cluster{w, oauthtest.NewKey(t), oauthtest.NewKey(t), folder}
				n := test.run(t, c)
				got, err := n.Credential(t.Context())
				if test.want == "" && !isAuthorization(err, record.ReasonDisconnected) || test.want != "" && (err != nil || sent(got) != test.want) {
					t.Errorf("%s, %v", sent(got), err)
				}
				if files, err := os.ReadDir(folder); err != nil || len(files) > 0 {
					t.Errorf("%d files are left, %v", len(files), err)
				}
			})
		})
	}
}

// TestUnsavedOverNewer: while one node could not store its token others have gone on; theirs
// counts. The provider allows a grace time, so the grant lives.
func TestUnsavedOverNewer(t *testing.T) {
	bubble(t, &issuer{mode: rotateGrace, life: time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		a.after.set(func(step string) {
			if step == stepRedeem {
				a.fail(errDown)
			}
		})
		time.Sleep(time.Minute)
		herd(t, nodes[:1], 1, 0) // a has access-1, and cannot store it
		a.after.set(nil)
		for range 3 {
			time.Sleep(time.Minute)
			herd(t, nodes[1:], 1, 0)
		}
		newest := b.stored()
		if newest.Generation != 4 || newest.Access != "access-4" {
			t.Fatalf("generation %d", newest.Generation)
		}
		a.fail(nil)
		time.Sleep(3 * time.Second)
		if got := b.stored(); got.Generation < newest.Generation {
			t.Errorf("generation %d was stored over %d", got.Generation, newest.Generation)
		}
		a.mustHave(t, "access-4")
		if a.conn.busy() {
			t.Error("there is still something to store")
		}
	})
}

// TestUnsavedConnect: somebody connects an account while the storage fails, and meanwhile another
// node refreshes the old grant. What a human being has done is not lost.
func TestUnsavedConnect(t *testing.T) {
	bubble(t, &issuer{mode: rotateGrace, life: time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		herd(t, nodes, 1, 0)
		time.Sleep(30 * time.Second)
		a.fail(errDown)
		fresh := issue("account-2", time.Hour)
		fresh.Refresh, fresh.Connected = "refresh of account-2", time.Now()
		if err := a.Install(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Minute)
			herd(t, nodes[1:], 1, 0)
		}
		if b.stored().Generation < 4 {
			t.Fatal("the other node did not refresh")
		}
		a.fail(nil)
		time.Sleep(3 * time.Second)
		a.mustHave(t, "account-2")
		if got := b.stored(); got.Access != "account-2" {
			t.Errorf("%s of generation %d is stored", got.Access, got.Generation)
		}
		time.Sleep(30 * time.Second)
		b.mustHave(t, "account-2")
	})
}

// TestUnsavedAfterDisconnect: what is disconnected stays so, whatever a node still has to store.
func TestUnsavedAfterDisconnect(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		a.after.set(func(step string) {
			if step == stepRedeem {
				a.fail(errDown)
			}
		})
		time.Sleep(time.Minute)
		herd(t, nodes[:1], 1, 0)
		a.after.set(nil)
		if err := b.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.fail(nil)
		time.Sleep(30 * time.Second)
		if c, err := a.Credential(t.Context()); err == nil {
			t.Errorf("%s is still sent", sent(c))
		}
		if got := b.stored(); got.End.Reason != record.ReasonDisconnected {
			t.Errorf("generation %d with the end %q is stored", got.Generation, got.End.Reason)
		}
	})
}

// TestStorageDown: the storage is down for ten minutes. No request fails while the token is valid,
// none waits, and no refresh token is spent that could not be stored.
func TestStorageDown(t *testing.T) {
	for name, fault := range map[string]error{"errors": errDown, "hangs": errHangs} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 20 * time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				time.Sleep(9*time.Minute + 30*time.Second)
				herd(t, []*node{n}, 1, 0) // after a long idle time a request waits up to a second for the record
				n.fail(fault)
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
					n.mustHave(t, "access-0")
				}
				if got := w.p.calls(); got != 0 {
					t.Errorf("%d token requests", got)
				}
				n.fail(nil)
				for range 60 { // it expires in 30 s
					time.Sleep(time.Second)
					begin := time.Now()
					if _, err := n.Credential(t.Context()); err != nil || time.Since(begin) > 0 {
						t.Fatalf("after %v: %v", time.Since(begin), err)
					}
				}
				n.mustHave(t, "access-1")
			})
		})
	}
}

// TestSpooledAndStored: a write that was given up has completed after all, and another node
// redeems that refresh token now. The next process leaves its claim alone.
func TestSpooledAndStored(t *testing.T) {
	folder := t.TempDir()
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		a.records().store.Spool = folder
		time.Sleep(2 * time.Minute)
		herd(t, []*node{a}, 1, 0)
		if err := a.records().store.Leave(a.conn.token.Load()); err != nil {
			t.Fatal(err)
		}
		a.kill()
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate { return fate{takes: 4 * time.Second} }
		go b.Credential(context.Background())
		time.Sleep(1500 * time.Millisecond)
		c := w.node()
		c.records().store.Spool = folder
		if _, err := c.Credential(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if w.p.dead || w.p.calls() != 2 || len(w.p.twice()) > 0 {
			t.Errorf("withdrawn: %t, %d calls", w.p.dead, w.p.calls())
		}
	})
}

// TestForgottenInUse: a state is forgotten while a slow request still has it, and then renews its
// token. A process that ends waits for that all the same.
func TestForgottenInUse(t *testing.T) {
	folder := t.TempDir()
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, func(o *options) {
			o.PerUser = true
			o.CacheSize, o.Spool = 10, folder
		})
		g.connect(t, "ann", "good")
		s := g.Source("ann")
		for i := 0; g.pool.known("ann") != nil; i++ {
			g.Source(strconv.Itoa(i))
		}
		time.Sleep(time.Hour)
		w.disk.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Store" && w.p.calls() > 0 {
				return errDown
			}
			return nil
		})
		if _, err := s.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := g.pool.Destruct(); err != nil {
			t.Fatal(err)
		}
		if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
			t.Errorf("%d files are left, %v", len(files), err)
		}
		w.disk.FailWith(nil)
	})
}

// TestNoRedemptionAfterTheEnd: a renewal waits for a dead node's claim when the process ends, for
// longer than that waits. It redeems nothing then: nobody would store the answer.
func TestNoRedemptionAfterTheEnd(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		n := nodes[0]
		time.Sleep(time.Minute)
		_ = nodes[1].set.presence.announce(t.Context())
		n.before.set(func(step string) {
			if step == stepSent {
				time.Sleep(4 * time.Second) // so slow that it waits for half a minute
			}
		})
		go n.Credential(t.Context())
		time.Sleep(time.Second)
		begin := time.Now()
		if err := n.set.pool.Destruct(); err != nil || time.Since(begin) < destructPatience {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Minute)
		if got := n.stored(); w.p.calls() != 0 || got.Claim != nil {
			t.Errorf("%d token requests; the claim is %+v", w.p.calls(), got.Claim)
		}
		w.node().mustHaveAfter(t, "access-1", time.Second)
	})
}

// mustHaveAfter is mustHave for a token that must be renewed first.
func (n *node) mustHaveAfter(t *testing.T, want string, patience time.Duration) {
	t.Helper()
	begin := time.Now()
	if c, err := n.Credential(t.Context()); err != nil || sent(c) != want || time.Since(begin) > patience {
		t.Errorf("%s, %v after %v, want %s", sent(c), err, time.Since(begin), want)
	}
}
