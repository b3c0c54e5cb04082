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

// TestSweep: what has been dead for SweepAfter is forgotten, on all nodes and for good; what lives
// is not.
func TestSweep(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		var gs []*gateway
		for range 2 {
			gs = append(gs, w.gateway(s, func(o *options) {
				o.PerUser = true
				o.SweepAfter = 10 * 24 * time.Hour
			}))
		}
		gs[0].connect(t, "alive", "good-1")
		gs[0].connect(t, "dead", "good-2")
		if err := gs[0].Source("dead").Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = gs[1].serves(t, "dead")   // the mark is in the memory of the other node
		stop := keep(t.Context(), gs[0]) // the other one is not there when it happens
		time.Sleep(9 * 24 * time.Hour)
		if n := w.disk.Count(); n != 2 {
			t.Errorf("%d records after nine days", n)
		}
		for range 20 {
			time.Sleep(4 * time.Hour)
			for _, g := range gs {
				_, _ = g.serves(t, "dead")
			}
		}
		if n := w.disk.Count(); n != 1 {
			t.Errorf("%d records after twelve days", n)
		}
		for i, g := range gs {
			_, err := g.serves(t, "dead")
			if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonNotConnected {
				t.Errorf("node %d: %v", i, err)
			}
		}
		stop()
		if st, err := gs[0].Statuses(t.Context()); err != nil || len(st) != 1 || st[0].Connection != "alive" {
			t.Errorf("%v, %v", st, err)
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

// TestResealUnderLoad: two nodes with the same keys in opposite orders, as in the midst of a
// rolling change, refresh and reseal. No generation is lost, and no refresh token sent twice. Then
// the old key goes.
func TestResealUnderLoad(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 5 * time.Minute}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		options := func(o *options) {
			o.PerUser = true
			o.KeepAlive = 20 * time.Second // has the keeper run every 5 s
		}
		w.ring = seal.NewRing(older, newer)
		a := w.gateway(s, options)
		w.ring = seal.NewRing(newer, older)
		b := w.gateway(s, options)
		a.connect(t, "ann", "good")
		stop := keep(t.Context(), a, b)
		last := uint64(0)
		for i := range 2400 {
			time.Sleep(time.Second)
			for _, g := range []*gateway{a, b} {
				if _, err := g.serves(t, "ann"); err != nil || w.p.dead {
					t.Fatalf("after %d s: %v; withdrawn: %t", i, err, w.p.dead)
				}
			}
			if token := a.Source("ann").conn.token.Load(); token.Generation < last {
				t.Fatalf("generation %d after %d", token.Generation, last)
			} else {
				last = token.Generation
			}
		}
		stop()
		if token := w.p.twice(); token != "" {
			t.Errorf("%s was redeemed twice", token)
		}
		time.Sleep(time.Minute)
		if st, err := b.Statuses(t.Context()); err != nil || len(st) != 1 || st[0].Generation < last {
			t.Errorf("%+v, %v; the last generation was %d", st, err, last)
		}
		stop = keep(t.Context(), b)
		time.Sleep(time.Minute)
		stop()
		w.ring = seal.NewRing(newer)
		c := w.gateway(s, options)
		if _, err := c.serves(t, "ann"); err != nil || w.disk.Count() != 1 {
			t.Errorf("without the old key: %v; %d records", err, w.disk.Count())
		}
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
		g.Storage, g.shared.records.store.Storage = sorted{w.disk}, sorted{w.disk}
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
		if err := g.Source(strconv.Itoa(i)).records.store.Save(t.Context(), token); err != nil {
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

// TestMovedLater: the storage is too slow at first for a record to be moved safely to the first
// key. It is moved within a minute, and not in an hour.
func TestMovedLater(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		w.ring = seal.NewRing(older)
		first := w.gateway(s, perUser)
		first.connect(t, "ann", "good")
		first.pool.unbind(first.Set)
		before, _ := w.disk.Only(t)
		w.ring = seal.NewRing(newer, older)
		g := w.gateway(s, perUser)
		slow := time.Now().Add(3 * time.Second)
		w.disk.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Store" && time.Now().Before(slow) {
				time.Sleep(2 * lateAfter)
			}
			return nil
		})
		stop := keep(t.Context(), g)
		time.Sleep(time.Minute)
		stop()
		if after, _ := w.disk.Only(t); after == before {
			t.Error("it was not moved")
		}
		if got, err := w.gateway(s, perUser).serves(t, "ann"); err != nil || got != "of-good" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestMovedAfterConnect: somebody connects, and a new configuration, with a new key, moves the
// record at once. What the old configuration had in mind to look at later does not bring it back
// under the older key.
func TestMovedAfterConnect(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		w.ring = seal.NewRing(older)
		before := w.gateway(s, perUser)
		before.connect(t, "ann", "good")
		name, _ := w.disk.Only(t)
		w.ring = seal.NewRing(newer, older)
		after := w.gateway(s, perUser)
		after.pool = before.pool
		after.pool.bind(after.Set)
		before.pool.unbind(before.Set)
		stop := keep(t.Context(), after)
		time.Sleep(time.Minute)
		stop()
		if moved, _ := w.disk.Only(t); moved == name {
			t.Error("it was not moved")
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
