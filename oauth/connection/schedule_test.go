// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// load counts the calls of a storage that are under way. Each takes as long as says takes.
type load struct {
	mu        sync.Mutex
	now, most int
	stores    int
}

// watch has all calls of the storage counted from now on.
func (l *load) watch(w *world, takes func(key string) time.Duration) {
	w.disk.FailWith(func(_ context.Context, op, key string) error {
		l.mu.Lock()
		l.now++
		l.most = max(l.most, l.now)
		if op == "Store" {
			l.stores++
		}
		l.mu.Unlock()
		time.Sleep(takes(key))
		l.mu.Lock()
		l.now--
		l.mu.Unlock()
		return nil
	})
}

// sets returns that many sets of one configuration, each of a datasource of its own, whose shared
// account is connected or not. pools has their pools, across reloads.
func (w *world) sets(t *testing.T, pools []*Pool, connected bool) []*Set {
	t.Helper()
	sets := make([]*Set, len(pools))
	configuration := new(int)
	for i := range pools {
		g := w.gateway(&web{p: w.p}, func(o *options) {
			o.Datasource = fmt.Sprintf("api%05d", i)
			o.Configuration = configuration
			o.KeepAlive = 24 * time.Hour
		})
		if pools[i] == nil {
			pools[i] = new(Pool)
		}
		sets[i] = pools[i].NewSet(g.Config)
		if connected {
			token := issue("access", time.Hour)
			token.Generation, token.Refresh, token.Connected, token.Identity = 1, "refresh", token.Obtained, g.Identity
			g.presence = nil // no entry comes with it
			g.shared.records().store.Announce = nil
			if err := g.shared.records().store.Save(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	return sets
}

// keptOf returns how many of the sets had a round, and when the last one was.
func keptOf(sets []*Set) (n int, last time.Time) {
	for _, set := range sets {
		if at := set.pool.kept.Load(); at != 0 {
			n++
			if at := time.Unix(0, at); at.After(last) {
				last = at
			}
		}
	}
	return n, last
}

// entries returns how many entries of nodes there are.
func (w *world) entries() (n int) {
	w.disk.Remove(func(key string, _ []byte) bool {
		if oauthtest.IsEntry(key) {
			n++
		}
		return false
	})
	return n
}

// TestKeepHundreds: a configuration with hundreds of datasources does not fall upon the storage
// when it has loaded, and the last of them has its turn within a stated time.
func TestKeepHundreds(t *testing.T) {
	const many = 600
	for name, connected := range map[string]bool{"without accounts": false, "with accounts": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
				sets := w.sets(t, make([]*Pool, many), connected)
				var l load
				l.watch(w, func(string) time.Duration { return 2 * time.Millisecond })
				ctx, cancel := context.WithCancel(t.Context())
				begin := time.Now()
				var keeping sync.WaitGroup
				keeping.Go(func() { Keep(ctx, sets...) })
				time.Sleep(time.Second)
				if n, _ := keptOf(sets); n < 128 || n > 256+250 {
					t.Errorf("%d rounds in the first second", n)
				}
				jobs := many
				if connected {
					jobs = 2 * many
				}
				time.Sleep(maintainDelay + time.Duration(jobs)*3*time.Millisecond)
				if n, last := keptOf(sets); n != many {
					t.Errorf("%d rounds, the last one after %v", n, last.Sub(begin))
				}
				cancel()
				keeping.Wait()
				if l.most > 16 {
					t.Errorf("%d calls of the storage at a time", l.most)
				}
				if want := map[bool]int{true: many}[connected]; w.entries() != want || l.stores != want {
					t.Errorf("%d entries in %d writes, want %d", w.entries(), l.stores, want)
				}
			})
		})
	}
}

// TestKeepHundred: a hundred datasources are looked after as soon as it may be.
func TestKeepHundred(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		sets := w.sets(t, make([]*Pool, 100), true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go Keep(ctx, sets...)
		time.Sleep(maintainDelay - time.Millisecond)
		if n, _ := keptOf(sets); n != 0 || w.entries() != 0 {
			t.Errorf("%d rounds and %d entries before the configuration has come to stay", n, w.entries())
		}
		time.Sleep(2 * time.Millisecond)
		if n, _ := keptOf(sets); n != 100 || w.entries() != 100 {
			t.Errorf("%d rounds and %d entries when it has", n, w.entries())
		}
	})
}

// TestKeepBesideHung: datasources for which the storage hangs do not hold up the others, and bind
// no more than so much.
func TestKeepBesideHung(t *testing.T) {
	const many = 300
	for hung, want := range map[int]struct{ rounds, calls int }{100: {many - 100, 100}, many: {0, 256}} {
		bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
			sets := w.sets(t, make([]*Pool, many), false)
			var l load
			l.watch(w, func(key string) time.Duration {
				if key < fmt.Sprintf("authenticated_api/api%05d", hung) {
					return 40 * time.Second
				}
				return 0
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go Keep(ctx, sets...)
			time.Sleep(10 * time.Second)
			l.mu.Lock()
			defer l.mu.Unlock()
			if n, _ := keptOf(sets); n != want.rounds || l.now != want.calls {
				t.Errorf("%d hang: %d rounds, and %d calls under way; want %+v", hung, n, l.now, want)
			}
		})
	}
}

// TestKeepAcrossReloads: configurations that come one after the other, each too soon for all
// datasources, look after all of them together.
func TestKeepAcrossReloads(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		const many = 700
		pools := make([]*Pool, many)
		begin := time.Now()
		var sets []*Set
		for range 3 { // each has time for some 500
			sets = w.sets(t, pools, false)
			ctx, cancel := context.WithCancel(t.Context())
			var keeping sync.WaitGroup
			keeping.Go(func() { Keep(ctx, sets...) })
			time.Sleep(time.Second)
			cancel()
			keeping.Wait()
			for _, pool := range pools {
				if len(pool.keeper.jobs)+len(pool.beats.clock.jobs) != 0 {
					t.Fatal("what has ended is told of the next round")
				}
			}
		}
		n, last := keptOf(sets)
		if n != many {
			t.Errorf("%d of %d had a round, the last one after %v", n, many, last.Sub(begin))
		}
	})
}

// TestKeepReloadFails: a configuration that ends before it has come to stay does nothing, though
// something is due.
func TestKeepReloadFails(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		sets := w.sets(t, make([]*Pool, 1), true)
		sets[0].presence.need(time.Now())
		sets[0].pool.keeper.wakeBy(time.Now())
		before := w.disk.Stores()
		ctx, cancel := context.WithTimeout(t.Context(), maintainDelay-time.Millisecond)
		defer cancel()
		Keep(ctx, sets...)
		if n, _ := keptOf(sets); n != 0 || w.disk.Stores() != before {
			t.Errorf("%d rounds and %d writes", n, w.disk.Stores()-before)
		}
	})
}

// TestEntryWhereNeeded: a node has no entry where nothing is stored. Once it has one, it keeps it
// alive, with records or without, and across reloads, or another node would remove it as one of a
// node that is dead.
func TestEntryWhereNeeded(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		pools := make([]*Pool, 1)
		set := w.sets(t, pools, false)[0]
		stop := keep(t.Context(), &gateway{Set: set})
		time.Sleep(2 * time.Hour)
		if w.disk.Stores() != 0 {
			t.Errorf("%d writes where nothing is stored", w.disk.Stores())
		}
		if err := set.presence.announce(t.Context()); err != nil {
			t.Fatal(err)
		}
		old := func() time.Duration {
			raw, err := w.disk.Load(t.Context(), path.Join(set.presence.folder, set.presence.name))
			var e entry
			if err != nil || json.Unmarshal(raw, &e) != nil {
				t.Fatalf("%s, %v", raw, err)
			}
			return time.Since(time.UnixMilli(e.At))
		}
		time.Sleep(2 * time.Hour)
		if age := old(); age > announceEvery+time.Second {
			t.Errorf("the entry is %v old", age)
		}
		stop()
		set = w.sets(t, pools, false)[0]
		stop = keep(t.Context(), &gateway{Set: set})
		time.Sleep(maintainDelay + time.Second)
		if age := old(); age > time.Second {
			t.Errorf("after a reload the entry is %v old", age)
		}
		time.Sleep(2 * time.Hour)
		if age := old(); age > announceEvery+time.Second {
			t.Errorf("long after a reload the entry is %v old", age)
		}
		stop()
	})
}

// TestForgetIsAnnounced: the keeper deletes no record before this node has an entry: other nodes
// would think that nobody can still do harm to what they write.
func TestForgetIsAnnounced(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		set := w.sets(t, make([]*Pool, 1), true)[0]
		set.SweepAfter = 24 * time.Hour
		if err := set.shared.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		w.disk.Remove(func(key string, _ []byte) bool { return oauthtest.IsEntry(key) })
		next := w.sets(t, make([]*Pool, 1), false)[0] // a process that starts
		next.SweepAfter = 24 * time.Hour
		forgotten := false
		w.disk.FailWith(func(_ context.Context, op, key string) error {
			switch {
			case op == "Store" && oauthtest.IsEntry(key):
				time.Sleep(2 * time.Second)
			case op == "Delete" && !oauthtest.IsEntry(key):
				if forgotten = true; w.entries() == 0 {
					t.Errorf("%s is deleted by a node without an entry", key)
				}
			}
			return nil
		})
		stop := keep(t.Context(), &gateway{Set: next})
		time.Sleep(time.Minute)
		stop()
		if !forgotten {
			t.Error("nothing was forgotten")
		}
	})
}

// TestScheduleClockIsSet: all jobs wait for times on the monotonic clock, also where the time
// comes from a record. When the wall clock is set, times on it cannot be compared with those of
// jobs that wait already, and a job could be held up by one that is due in a year.
func TestScheduleClockIsSet(t *testing.T) {
	s := schedule{hurry: make(chan struct{}, 1)}
	var clock keeperClock
	j := &job{place: -1, clock: &clock}
	clock.join(&s, j)
	s.wait(j, time.Now().Add(asleep))
	at := time.Now().Add(time.Minute)
	clock.wakeBy(at.Round(0))
	if j.due.Sub(at).Abs() > 10*time.Second {
		t.Errorf("it is due %v from its time", j.due.Sub(at))
	}
	if !strings.Contains(j.due.String(), "m=") {
		t.Errorf("it is due at %v, which is on the wall clock", j.due)
	}
}

// TestScheduleBringsEarlier: a time that is set brings a job forward in the schedules of all
// configurations that run, and never puts it off.
func TestScheduleBringsEarlier(t *testing.T) {
	var clock keeperClock
	var jobs [2]*job
	plan := time.Now().Add(time.Hour)
	for i := range jobs {
		s := &schedule{hurry: make(chan struct{}, 1)}
		jobs[i] = &job{place: -1, clock: &clock}
		clock.join(s, jobs[i])
		s.wait(jobs[i], plan)
	}
	for _, wake := range []struct{ at, want time.Time }{
		{plan.Add(time.Hour), plan}, {plan.Add(-time.Minute), plan.Add(-time.Minute)}, {plan.Add(time.Minute), plan.Add(-time.Minute)},
	} {
		clock.wakeBy(wake.at)
		for i, j := range jobs {
			if j.due.Sub(wake.want).Abs() > time.Second {
				t.Errorf("configuration %d: woken by %v, it is due %v from the time that counts", i, wake.at, j.due.Sub(wake.want))
			}
		}
	}
}

// TestEntryOfReader: a node that has only read a record has an entry before it may have to repair
// the record.
func TestEntryOfReader(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		pools := make([]*Pool, 1)
		reader := w.sets(t, pools, false)[0]
		defer keep(t.Context(), &gateway{Set: reader})()
		time.Sleep(time.Second) // its first round has found nothing
		w.sets(t, make([]*Pool, 1), true)
		if _, err := reader.Shared().Credential(t.Context()); err != nil || w.entries() != 0 {
			t.Fatalf("%d entries, %v", w.entries(), err)
		}
		time.Sleep(10 * time.Millisecond)
		if w.entries() != 1 {
			t.Errorf("%d entries", w.entries())
		}
	})
}

// TestResealHundreds: the tokens of hundreds of machines move to a new key little by little.
func TestResealHundreds(t *testing.T) {
	bubble(t, &issuer{}, func(t *testing.T, w *world) {
		const many = 400
		sets := w.sets(t, make([]*Pool, many), false)
		for _, set := range sets {
			set.Interactive = false
		}
		var l load
		l.watch(w, func(string) time.Duration { return 2 * time.Millisecond })
		begin := time.Now()
		Reseal(t.Context(), sets...)
		if took := time.Since(begin); l.most > 16 || took > resealDelay+many*3*time.Millisecond {
			t.Errorf("%d at a time, in %v", l.most, took)
		}
	})
}
