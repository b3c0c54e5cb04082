// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDisconnectRace: another node has read the record just before the disconnect, and writes its
// claim just after. The grant does not come back, and what that node has got is revoked too.
func TestDisconnectRace(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		herd(t, nodes, 1, 0)
		var revoked []string
		a.set.Revoke = func(_ context.Context, token *record.Token) error {
			revoked = append(revoked, token.Refresh)
			return nil
		}
		time.Sleep(time.Minute)
		b.before.set(func(step string) {
			if step == stepClaim {
				b.before.set(nil)
				time.Sleep(10 * time.Millisecond)
			}
		})
		go b.Credential(t.Context())
		time.Sleep(5 * time.Millisecond)
		if err := a.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		for i, n := range nodes {
			if c, err := n.Credential(t.Context()); err == nil {
				t.Errorf("node %d still sends %s", i, sent(c))
			}
		}
		if got := a.stored(); got.End.Reason != record.ReasonDisconnected {
			t.Errorf("generation %d with the end %q is stored", got.Generation, got.End.Reason)
		}
		if last := revoked[len(revoked)-1]; last != w.p.now {
			t.Errorf("%q was revoked, and not %s", revoked, w.p.now)
		}
	})
}

// TestConnectRace is the same with another account in the place of nothing.
func TestConnectRace(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		herd(t, nodes, 1, 0)
		time.Sleep(time.Minute)
		b.before.set(func(step string) {
			if step == stepClaim {
				b.before.set(nil)
				time.Sleep(10 * time.Millisecond)
			}
		})
		go b.Credential(t.Context())
		time.Sleep(5 * time.Millisecond)
		fresh := issue("account-2", time.Hour)
		fresh.Refresh, fresh.Connected = "refresh of account-2", time.Now()
		if err := a.Install(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		a.mustHave(t, "account-2")
		time.Sleep(25 * time.Second)
		_, _ = b.Credential(t.Context())
		synctest.Wait()
		for _, n := range nodes {
			n.mustHave(t, "account-2")
		}
		if got := a.stored(); got.Access != "account-2" {
			t.Errorf("%s is stored", got.Access)
		}
	})
}

// TestDisconnectElsewhere: other nodes stop within 30 s, with sparse requests too, and say why.
func TestDisconnectElsewhere(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 7 * time.Second, 28 * time.Second} {
		bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
			nodes := w.connected(2)
			a, b := nodes[0], nodes[1]
			herd(t, nodes, 1, 0)
			if err := a.Disconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
			for begin := time.Now(); ; {
				time.Sleep(every)
				_, err := b.Credential(t.Context())
				if e, ok := errors.AsType[*record.AuthorizationError](err); ok && e.Reason == record.ReasonDisconnected {
					break
				}
				if err != nil || time.Since(begin) > 30*time.Second {
					t.Fatalf("every %v: after %v: %v", every, time.Since(begin), err)
				}
			}
		})
	}
}

// TestDisconnectWhileRefreshing: a request that waits for a token on another node is told that
// there is none, and why.
func TestDisconnectWhileRefreshing(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		herd(t, nodes, 1, 0)
		time.Sleep(time.Minute)
		w.p.fate = func(int) fate {
			return fate{takes: 8 * time.Second, err: &provider.Error{Status: 400, Code: "invalid_grant"}}
		}
		said := make(chan error)
		go func() {
			_, err := b.Credential(t.Context())
			said <- err
		}()
		time.Sleep(3 * time.Second)
		base := a.stored()
		if err := a.records().replace(t.Context(), &record.Token{Generation: base.Generation + 1, Identity: "identity", End: record.End{Reason: record.ReasonDisconnected}}); err != nil {
			t.Fatal(err)
		}
		err := <-said
		if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonDisconnected {
			t.Errorf("it was told %v", err)
		}
	})
}

// TestForeign: a record of another client is neither served, nor overwritten by what is under way
// here, nor disconnected.
func TestForeign(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		a := w.connected(1)[0]
		other := w.node()
		other.records().store.Identity = "another client"
		if _, err := other.Credential(t.Context()); err == nil {
			t.Fatal("another client's token was used")
		}
		if err := other.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := a.stored(); got.Access != "access-0" || got.Identity != "identity" {
			t.Fatalf("a disconnect has overwritten another client's record: %+v", got.End)
		}
		// Now the other client connects, and the first one must stop and leave the record alone.
		fresh := issue("account-2", time.Hour)
		fresh.Refresh, fresh.Connected = "refresh of account-2", time.Now()
		if err := other.Install(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		for range 90 {
			time.Sleep(time.Second)
			_, _ = a.Credential(t.Context())
		}
		if _, err := a.Credential(t.Context()); err == nil {
			t.Error("it still serves")
		}
		if got := other.stored(); got.Access != "account-2" || got.Identity != "another client" {
			t.Errorf("%s of %s is stored", got.Access, got.Identity)
		}
	})
}

// TestAnnouncedBeforeReading: a node without an entry writes one before it reads the record that
// it is about to replace. That may take a while, and what it writes would rest on an old reading.
func TestAnnouncedBeforeReading(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var steps []string
		log := func(step string) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, step)
		}
		a, b := w.node(), w.node()
		a.before.set(log)
		if err := a.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		b.before.set(log)
		if err := b.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		read := false // since the entry was written
		for _, step := range steps {
			switch step {
			case stepEntry:
				read = false
			case stepStore:
				if !read {
					t.Errorf("the record was not read between the entry and the write: %q", steps)
				}
			case stepLoad:
				read = true
			}
		}
	})
}
