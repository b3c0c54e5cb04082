// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"context"
	"errors"
	weakrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

const (
	// maintainDelay is how long a configuration must have run before its keeper starts. A
	// configuration that fails to start must not take records away from the configuration that
	// goes on.
	maintainDelay = 250 * time.Millisecond

	// maintainInterval is the longest time between two rounds.
	maintainInterval = time.Hour

	// maintainFew is the longest time between two rounds if there are at most maintainPace
	// records.
	maintainFew = 5 * time.Minute

	// maintainRetry is when the next round starts if some records could not be dealt with. It
	// doubles each time.
	maintainRetry = 2 * time.Second

	// maintainPace is how many records are looked at before a pause of maintainPause: a million
	// records must not stop everything else.
	maintainPace  = 64
	maintainPause = 10 * time.Millisecond

	// keepers is how many connections are refreshed or moved at a time. Each takes a second or
	// more, since its claim must stand for a while: one after the other, a day would not be
	// enough for a hundred thousand of them.
	keepers = 32
)

// Keep looks after the stored connections of the sets of a configuration until ctx ends. It
// refreshes idle connections, since many providers let an idle refresh token die. It moves records
// that an older key has sealed to the first key. It deletes the records of connections that have
// long been dead. And it says in the storage that this node is there; see presence.
//
// The sets that have waited longest come first. So each has its turn, even if there are thousands
// and no configuration runs for long.
func Keep(ctx context.Context, sets ...*Set) {
	interactive := slices.DeleteFunc(slices.Clone(sets), func(set *Set) bool { return !set.Interactive })
	slices.SortStableFunc(interactive, func(a, b *Set) int { return cmp.Compare(a.pool.kept.Load(), b.pool.kept.Load()) })
	s := schedule{from: time.Now().Add(maintainDelay)}
	for i, set := range interactive {
		begin := s.from.Add(time.Duration(i)) // jobs that are due at one time have no order
		s.add(begin, &set.pool.keeper, (&keeper{set: set, retry: maintainRetry}).round)
		s.add(set.presence.begins(begin), &set.presence.beats.clock, set.presence.keep)
	}
	s.run(ctx)
}

// Keep calls the function Keep for one set.
func (set *Set) Keep(ctx context.Context) { Keep(ctx, set) }

// keeper looks after the stored connections of a set, in rounds.
type keeper struct {
	set   *Set
	retry time.Duration // when the next round starts if some records could not be dealt with
}

// round looks after all connections once. It returns how long to wait before the next round.
func (k *keeper) round(ctx context.Context) (wait time.Duration) {
	set := k.set
	sown := sow(ctx, set)
	r, err := set.maintainAll(ctx)
	if ctx.Err() == nil {
		set.pool.kept.Store(time.Now().UnixNano())
	}
	r.done = r.done && sown
	if err != nil && ctx.Err() == nil {
		set.Logger.Warn("the stored connections could not all be looked after; it is tried again", zap.Error(err))
	}
	wait = set.maintainEvery(r.records)
	wait += time.Duration(weakrand.Float64() * float64(wait) / 4) //nolint:gosec // G404: a jitter is no secret
	if r.done || r.renewed {
		// A provider that limits requests gets some of them again and again.
		k.retry = maintainRetry
	}
	if !r.done {
		wait, k.retry = min(wait, k.retry), 2*min(k.retry, wait)
	}
	return wait
}

// maintainEvery returns the time between two rounds over that many records. A few records are
// looked at every five minutes: another node may have connected an account since whose refresh
// token ends in half an hour, and may have died.
func (set *Set) maintainEvery(records int) time.Duration {
	every := maintainInterval
	if records <= maintainPace && set.KeepAlive > 0 {
		every = maintainFew
	}
	for _, d := range []time.Duration{set.KeepAlive, set.SweepAfter} {
		if d > 0 {
			every = min(every, d/4)
		}
	}
	return max(every, maintainDelay)
}

// round is the result of looking at all records once.
type round struct {
	records int  // how many records there are
	done    bool // no record needs another look soon
	renewed bool // a token was renewed
}

// maintainAll looks after all connections once.
func (set *Set) maintainAll(ctx context.Context) (round, error) {
	store := &set.shared.records().store
	ring, err := store.Keys()
	if err != nil {
		return round{}, err
	}
	m := &maintenance{set: set, ring: ring}
	m.workers.SetLimit(keepers)
	counting := set.pool.tally.begin()
	unknown, err := store.Each(ctx, set.PerUser, func(name, key string, token *record.Token) error {
		set.pool.tally.found(counting, key, set.stateStored(key, token))
		return m.inspect(ctx, name, key, token)
	})
	_ = m.workers.Wait() // each connection's error is logged, and ends nothing else
	if err == nil || unknown > 0 {
		set.pool.unknownKeys.Store(unknown > 0)
	}
	if err != nil {
		return round{records: m.records, renewed: m.renewed}, err
	}
	set.pool.tally.finish(counting)
	sweepCtx, cancel := context.WithTimeout(ctx, record.ListTimeout)
	defer cancel()
	store.Sweep(sweepCtx)
	return round{records: m.records, done: !m.undone, renewed: m.renewed}, nil
}

// maintenance is a round that is under way.
type maintenance struct {
	set     *Set
	ring    *seal.Ring
	workers errgroup.Group // at most keepers at a time
	records int            // how many records there were so far

	mu      sync.Mutex // guards what follows
	undone  bool       // a record needs another look soon
	renewed bool       // a token was renewed
	braked  bool       // the provider has failed, so it is asked nothing more in this round
}

// inspect looks at one record, and has a worker do what is to be done for its connection.
func (m *maintenance) inspect(ctx context.Context, name, key string, token *record.Token) error {
	m.set.presence.need(time.Now())
	if m.records++; m.records%maintainPace == 0 {
		if err := sleep(ctx, maintainPause); err != nil {
			return err
		}
	}
	moved := name != m.set.storeOf(key).Names(m.ring)[0]
	do, renews := m.set.due(name, key, token, moved)
	if do == nil {
		m.set.keepInTime(token)
		return ctx.Err()
	}
	if renews && m.skips() {
		return ctx.Err()
	}
	m.workers.Go(func() error {
		if err := ctx.Err(); err != nil {
			return err // it has ended while all workers were busy
		}
		err := do(ctx)
		logged := m.note(key, token, renews, err)
		if err != nil && !logged && !errors.Is(err, errNotMoved) && ctx.Err() == nil {
			m.set.Logger.Warn("a stored connection could not be looked after", zap.String("storage_key", name), zap.Error(err))
		}
		return nil
	})
	return ctx.Err()
}

// skips reports whether the provider is asked nothing more in this round, and notes that it
// would be.
func (m *maintenance) skips() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undone = m.undone || m.braked
	return m.braked
}

// note notes what became of a connection. It reports whether an error of it was logged already.
func (m *maintenance) note(key string, token *record.Token, renews bool, err error) (logged bool) {
	now := m.set.pool.known(key).current()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.undone = true
	}
	switch {
	case !renews:
	case err != nil:
		m.braked = true // the next requests would fail too
		return true     // where the renewal has failed
	case now != nil && now.Generation > token.Generation:
		m.renewed = true
	case !token.RefreshEnd.IsZero():
		m.undone = true // the refresh token ends soon
	}
	return false
}
