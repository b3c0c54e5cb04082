// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// bound returns a set as a configuration binds it, with a connection for each user.
func bound(t *testing.T, name string, storage *oauthtest.Memory, ring *seal.Ring) *Set {
	t.Helper()
	logger, _ := oauthtest.NewLogger()
	return NewSet(Config{
		Configuration: new(int), Datasource: name, Identity: "identity", Grant: "authorization_code", Interactive: true, PerUser: true,
		Storage: storage, Keys: func() (*seal.Ring, error) { return ring, nil }, Timeout: timeout, Build: bearer, Logger: logger,
	})
}

// granted is a token of a generation, which can be refreshed.
func granted(generation uint64) *record.Token {
	token := issue("of "+strconv.FormatUint(generation, 10), time.Hour)
	token.Generation, token.Refresh = generation, "refresh"
	return token
}

// TestHungStorage: a storage hangs for an hour, and knows no contexts. Users with a valid token
// are served at once all the time, and what hangs does not become more and more. When it works
// again so does everything.
func TestHungStorage(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, func(o *options) {
			o.PerUser = true
			o.CacheSize = 10_000 // or ann would be forgotten, and must be read again
		})
		g.connect(t, "ann", "good")
		works := make(chan struct{})
		w.disk.FailWith(func(context.Context, string, string) error { <-works; return nil })
		before := runtime.NumGoroutine()
		for minute := range 60 {
			for range 60 {
				time.Sleep(time.Second)
				begin := time.Now()
				if got, err := g.serves(t, "ann"); err != nil || time.Since(begin) > recheckPatience {
					t.Fatalf("minute %d: %s, %v after %v", minute, got, err, time.Since(begin))
				}
			}
			for i := range 25 {
				go g.serves(t, "unknown"+strconv.Itoa(25*minute+i))
			}
		}
		if more := runtime.NumGoroutine() - before; more > 2*record.MaxReads {
			t.Errorf("%d goroutines more", more)
		}
		w.disk.FailWith(nil)
		close(works)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := g.slots.InUse(); n != 0 {
			t.Errorf("%d uses are under way", n)
		}
		g.connect(t, "bob", "good-bob")
		if got, err := g.serves(t, "bob"); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}

// TestHungReads: reads hang, and writes do not. A new refresh token is stored at once. After a
// reload with another storage all is well.
func TestHungReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, storage, works := seal.NewRing(oauthtest.NewKey(t)), new(oauthtest.Memory), make(chan struct{})
		m := bound(t, "hung-reads", storage, ring)
		storage.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Load" {
				<-works
			}
			return nil
		})
		for i := range record.MaxReads + 100 {
			go m.Source(strconv.Itoa(i)).Credential(context.Background())
		}
		time.Sleep(10 * time.Second)
		ann := m.Source("ann")
		ann.records().saveAndUse(t.Context(), granted(2))
		if ann.conn.unsaved != nil {
			t.Error("a new token could not be stored")
		}
		next := bound(t, "hung-reads", new(oauthtest.Memory), ring)
		m.Close()
		time.Sleep(time.Minute)
		if _, err := next.Source("bob").Status(t.Context()); err != nil {
			t.Errorf("with another storage: %v", err)
		}
		close(works)
		time.Sleep(time.Minute)
		next.Close()
	})
}

// TestMindedBy: who looks again at what was stored: the configuration that runs, neither one that
// has failed to start, nor one that has ended.
func TestMindedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, storage, closed := seal.NewRing(oauthtest.NewKey(t)), new(oauthtest.Memory), new(oauthtest.Memory)
		closed.FailWith(func(_ context.Context, op, _ string) error { return errors.New(op + ": it is closed") })
		m := bound(t, "minded", storage, ring)
		bound(t, "minded", closed, ring).Close() // another part of that configuration was wrong
		ann := m.Source("ann")
		ann.records().saveAndUse(t.Context(), granted(2))
		time.Sleep(time.Second)
		if err := ann.records().save(t.Context(), granted(1)); err != nil { // another node's late write
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got, err := ann.records().load(t.Context()); err != nil || got.Generation != 2 {
			t.Errorf("generation %d is stored, %v", got.Generation, err)
		}
		// Of another one, which is loaded in between, too.
		ann.records().saveAndUse(t.Context(), granted(3))
		next := bound(t, "minded", storage, ring)
		m.Close()
		bound(t, "minded", closed, ring).Close()
		time.Sleep(time.Second)
		if err := ann.records().save(t.Context(), granted(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got, err := ann.records().load(t.Context()); err != nil || got.Generation != 3 {
			t.Errorf("generation %d is stored, %v", got.Generation, err)
		}
		ann = next.Source("ann")
		ann.records().saveAndUse(t.Context(), granted(4))
		next.Close()
		name := ann.records().store.Names(ring)[0]
		if err := storage.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if storage.Exists(t.Context(), name) {
			t.Error("a configuration that has ended has stored the record again")
		}
	})
}
