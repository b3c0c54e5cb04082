// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// keep runs the keepers of processes until the returned function is called.
func keep(ctx context.Context, gs ...*gateway) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, g := range gs {
		all.Go(func() { g.Keep(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// TestIdleRefresh: what nobody uses is refreshed once in KeepAlive, whatever the number of nodes;
// what is dead is not.
func TestIdleRefresh(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		var gs []*gateway
		s := &web{p: w.p}
		for range 3 {
			gs = append(gs, w.gateway(s, func(o *options) {
				o.PerUser = true
				o.KeepAlive = 24 * time.Hour
			}))
		}
		gs[0].connect(t, "ann", "good")
		stop := keep(t.Context(), gs...)
		time.Sleep(10*24*time.Hour + time.Hour)
		stop()
		if got := w.p.calls(); got < 9 || got > 10 || w.p.dead {
			t.Errorf("%d refreshes in ten days; withdrawn: %t", got, w.p.dead)
		}
		if got, err := gs[1].serves(t, "ann"); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}

// TestStrangersOfUsers: while there are records that no key here opens, nobody knows whose they
// are, so nobody is told to connect.
func TestStrangersOfUsers(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		old := w.gateway(s, perUser)
		old.connect(t, "ann", "good-1")
		w.ring = seal.NewRing(oauthtest.NewKey(t))
		g := w.gateway(s, perUser)
		g.connect(t, "bob", "good-2")
		stop := keep(t.Context(), g)
		time.Sleep(time.Minute)
		if _, err := g.serves(t, "ann"); !errors.Is(err, record.ErrKeyMissing) {
			t.Errorf("an unknown user: %v", err)
		}
		if got, err := g.serves(t, "bob"); got != "of-good-2" {
			t.Errorf("a known user: %s, %v", got, err)
		}
		w.disk.Remove(func(key string, val []byte) bool { // the operator removes them
			if oauthtest.IsEntry(key) {
				return false
			}
			id, known := w.ring.Knows(val[9:]) // behind the version and the generation
			return id != "" && !known
		})
		time.Sleep(2 * time.Hour)
		_, err := g.serves(t, "ann")
		if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonNotConnected {
			t.Errorf("without strangers: %v", err)
		}
		stop()
	})
}

// sorted is a storage that lists as a file system does.
type sorted struct{ *disk }

// List implements certmagic.Storage.
func (s sorted) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	names, err := s.disk.List(ctx, prefix, recursive)
	slices.Sort(names)
	return names, err
}

// TestKeeperGoesOn: one record that cannot be read does not keep the others from being looked
// after.
func TestKeeperGoesOn(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		g := w.gateway(s, func(o *options) {
			o.PerUser = true
			o.SweepAfter = 24 * time.Hour
		})
		for i := range 8 {
			user := fmt.Sprint("user", i)
			g.connect(t, user, "good-"+user)
			if err := g.Source(user).Disconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		bad := slices.DeleteFunc(slices.Sorted(maps.Keys(w.disk.Records)), oauthtest.IsEntry)[0]
		g.Storage, g.shared.records().store.Storage = sorted{w.disk}, sorted{w.disk}
		w.disk.FailWith(func(_ context.Context, op, key string) error {
			if key == bad && op == "Load" {
				return errDown
			}
			return nil
		})
		stop := keep(t.Context(), g)
		time.Sleep(48 * time.Hour)
		stop()
		if n := w.disk.Count(); n != 1 {
			t.Errorf("%d records", n)
		}
	})
}

// store stores that many connections, which nobody has used in this process.
func (g *gateway) store(t *testing.T, users int) {
	t.Helper()
	for i := range users {
		token := issue("access-"+strconv.Itoa(i), time.Hour)
		token.Generation, token.Refresh, token.Connected = 1, "refresh-0", token.Obtained
		if err := g.Source(strconv.Itoa(i)).records().store.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
}

// idle starts a process with that many connections, each of which is to be refreshed, for nobody
// has used it for a day.
func (w *world) idle(t *testing.T, users int) *gateway {
	t.Helper()
	g := w.gateway(&web{p: w.p}, func(o *options) {
		o.PerUser = true
		o.KeepAlive = 24 * time.Hour
	})
	w.p.connect()
	g.store(t, users)
	time.Sleep(25 * time.Hour)
	return g
}

// TestKeepMany: the keeper does not wait for one connection after the other.
func TestKeepMany(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		const users = 200
		g := w.gateway(&web{p: w.p}, func(o *options) {
			o.PerUser = true
			o.KeepAlive = time.Hour
		})
		w.p.connect()
		g.store(t, users)
		time.Sleep(2 * time.Hour)
		begin := time.Now()
		if r, err := g.maintainAll(t.Context()); !r.done || !r.renewed || r.records != users || err != nil {
			t.Fatal(r, err)
		}
		if took := time.Since(begin); w.p.calls() != users || took > users*settleTime/keepers*2 {
			t.Errorf("%d refreshes in %v", w.p.calls(), took)
		}
	})
}

// TestKeepBraked: the provider refuses all requests. The keeper does not ask it for each of many
// connections, and goes on when it is back.
func TestKeepBraked(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		const users = 500
		g := w.idle(t, users)
		w.p.fate = func(int) fate {
			return fate{err: &provider.Error{Status: http.StatusTooManyRequests, Code: "slow_down"}}
		}
		stop := keep(t.Context(), g)
		time.Sleep(time.Minute)
		if n := w.p.calls(); n > 6*keepers {
			t.Errorf("%d token requests in a minute", n)
		}
		w.p.fate = nil
		refused := w.p.calls()
		time.Sleep(8 * time.Hour)
		stop()
		if n := w.p.calls() - refused; n < users {
			t.Errorf("%d refreshes of %d connections when the provider was back", n, users)
		}
	})
}

// TestKeepLimited: the provider allows some requests in a second, and refuses the others. All are
// renewed in time.
func TestKeepLimited(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		const users = 1000
		g := w.idle(t, users)
		var second int64
		var asked, served atomic.Int64
		w.p.fate = func(int) fate { // one call at a time
			if now := time.Now().Unix(); now != second {
				second = now
				asked.Store(0)
			}
			if asked.Add(1) > 10 {
				return fate{err: &provider.Error{Status: http.StatusTooManyRequests, Code: "slow_down"}}
			}
			served.Add(1)
			return fate{}
		}
		stop := keep(t.Context(), g)
		time.Sleep(8 * time.Hour) // two rounds, though each goes on as long as the provider allows
		stop()
		if n := served.Load(); n < users {
			t.Errorf("%d of %d were renewed", n, users)
		}
	})
}

// TestKeepHungRead: one read of the storage hangs for ever. The keeper goes on.
func TestKeepHungRead(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, func(o *options) {
			o.PerUser = true
			o.KeepAlive = 24 * time.Hour
		})
		g.connect(t, "ann", "good")
		time.Sleep(time.Minute)
		var once atomic.Bool
		works := make(chan struct{})
		w.disk.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Load" && once.CompareAndSwap(false, true) {
				<-works
			}
			return nil
		})
		stop := keep(t.Context(), g)
		time.Sleep(3 * 24 * time.Hour)
		stop()
		if w.p.calls() == 0 {
			t.Error("nothing was refreshed in three days")
		}
		close(works)
	})
}
