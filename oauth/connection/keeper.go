// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	weakrand "math/rand/v2"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

const (
	// keepDelay is how long a configuration must have run before records are looked after. One that fails to start must not
	// take them away from the one that goes on.
	keepDelay = 250 * time.Millisecond

	// keepInterval is how often all records are looked at, at most.
	keepInterval = time.Hour

	// keepFew is the same where there are no more than keepPace of them.
	keepFew = 5 * time.Minute

	// keepRetry is when all records are looked at again of which some could not be dealt with; it doubles each time.
	keepRetry = 2 * time.Second

	// keepPace is how many records are looked at before a pause of keepPause: a million of them must not stop the rest.
	keepPace  = 64
	keepPause = 10 * time.Millisecond

	// keepers is how many connections are refreshed or moved at a time. Each takes a second and more, for its claim must stand for a
	// while: one after the other, a day would not be enough for a hundred thousand of them.
	keepers = 32
)

// Keep looks after the stored connections until ctx ends: it refreshes idle ones, since many providers let an idle refresh token
// die; moves those that an older key has sealed to the first one; and forgets those that have been dead for long. One
// goroutine does that for all connections of the datasource.
func (set *Set) Keep(ctx context.Context) {
	if !set.Interactive {
		return
	}
	if set.presence != nil {
		go set.presence.keep(ctx)
	}
	wait, retry := keepDelay, keepRetry
	for set.pool.keeper.rest(ctx, wait) == nil {
		r, err := set.maintainAll(ctx)
		if err != nil && ctx.Err() == nil {
			set.Logger.Warn("the stored connections could not all be looked after; it is tried again", zap.Error(err))
		}
		wait = set.maintainEvery(r.records)
		wait += time.Duration(weakrand.Float64() * float64(wait) / 4) //nolint:gosec // G404: a jitter is no secret
		if r.done || r.renewed {
			retry = keepRetry // a provider that limits requests is asked for some of them again and again
		}
		if !r.done {
			wait, retry = min(wait, retry), 2*min(retry, wait)
		}
	}
}

// maintainEvery is how often all records are looked at, if there are that many. Few of them are looked at every five minutes: another node may
// have connected an account since whose refresh token ends in half an hour, and have died.
func (set *Set) maintainEvery(records int) time.Duration {
	every := keepInterval
	if records <= keepPace && set.KeepAlive > 0 {
		every = keepFew
	}
	for _, d := range []time.Duration{set.KeepAlive, set.SweepAfter} {
		if d > 0 {
			every = min(every, d/4)
		}
	}
	return max(every, keepDelay)
}

// round is what came of looking at all records.
type round struct {
	records       int
	done, renewed bool // renewed: any token was
}

// maintainAll looks after all connections once.
func (set *Set) maintainAll(ctx context.Context) (round, error) {
	ring, err := set.shared.records.store.Keys()
	if err != nil {
		return round{}, err
	}
	n := 0
	var undone, braked, some atomic.Bool
	var workers sync.WaitGroup
	free := make(chan struct{}, keepers)
	strangers, err := set.shared.records.store.Each(ctx, set.PerUser, func(name, key string, token *record.Token) error {
		if n++; n%keepPace == 0 {
			if err := sleep(ctx, keepPause); err != nil {
				return err
			}
		}
		keep, renews := set.maintainOne(name, key, token, name != set.storeOf(key).Names(ring)[0])
		if keep == nil {
			set.keepInTime(token)
			return ctx.Err()
		}
		if renews && braked.Load() {
			undone.Store(true)
			return ctx.Err()
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		workers.Go(func() {
			defer func() { <-free }()
			err := keep(ctx)
			if err != nil {
				undone.Store(true)
			}
			switch now := set.pool.known(key).current(); {
			case renews && err != nil:
				braked.Store(true) // the next ones would fail, too; it is logged where it has failed
				return
			case renews && now != nil && now.Generation > token.Generation:
				some.Store(true)
			case renews && !token.RefreshEnd.IsZero():
				undone.Store(true) // it is not long until its end
			}
			if err != nil && !errors.Is(err, errNotMoved) && ctx.Err() == nil {
				set.Logger.Warn("a stored connection could not be looked after", zap.String("storage_key", name), zap.Error(err))
			}
		})
		return nil
	})
	workers.Wait()
	if err == nil || strangers > 0 {
		set.pool.unknownKeys.Store(strangers > 0)
	}
	if err != nil {
		return round{n, false, some.Load()}, err
	}
	sweepCtx, cancel := context.WithTimeout(ctx, record.ListTimeout)
	defer cancel()
	set.shared.records.store.Sweep(sweepCtx)
	return round{n, !undone.Load(), some.Load()}, nil
}

// maintainOne returns what is to be done for one connection, or nil, and whether the provider is asked for that. moved says that its record lies
// under the name of an older key.
func (set *Set) maintainOne(name, key string, token *record.Token, moved bool) (keep func(context.Context) error, renews bool) {
	now := time.Now()
	switch idle := set.KeepAlive; {
	case set.dead(token, now):
		return func(ctx context.Context) error { return set.forget(ctx, name, key, token) }, false
	case idle > 0 && token.Redeemable() && !now.Before(token.KeepAt(idle)):
		return func(ctx context.Context) error { return set.Source(key).refreshIdle(ctx, token) }, true // which moves it, too
	case moved:
		return set.Source(key).move, false
	case token.RefusedEarly() && token.Expiry.Sub(now) < 2*keepInterval: // by a process that may have ended
		return func(context.Context) error { set.Source(key).records.askAtEnd(token); return nil }, false //nolint:contextcheck // it belongs to no request
	}
	return nil, false
}

// dead reports whether a connection has been of no use for so long that it is forgotten.
func (set *Set) dead(token *record.Token, now time.Time) bool {
	after := set.SweepAfter
	switch {
	case after <= 0 || token.Redeemable():
		return false
	case token.End.Reason != "":
		return !token.Valid(now) && !token.Changed.IsZero() && now.Sub(token.Changed) >= after
	default: // it had no refresh token
		return !token.Expiry.IsZero() && now.Sub(token.Expiry) >= after
	}
}

// forget deletes the record of a dead connection, if it is still that.
func (set *Set) forget(ctx context.Context, name, key string, token *record.Token) error {
	s := set.Source(key)
	return s.exclusively(ctx, func(ctx context.Context) error {
		if err := s.conn.records.lock(ctx); err != nil {
			return err
		}
		defer s.conn.records.Unlock()
		ring, err := s.records.store.Keys()
		if err != nil {
			return err
		}
		raw, err := s.records.store.Within().Load(ctx, name)
		if err != nil {
			return fmt.Errorf("loading a dead record: %w", err)
		}
		now, _, err := s.records.store.Open(ring, path.Base(name), raw)
		if err != nil || now.Generation != token.Generation || now.End != token.End {
			return err
		}
		if err := s.records.store.Within().Delete(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting a dead record: %w", err)
		}
		if current := s.conn.token.Load(); current != nil && current.Generation <= token.Generation {
			s.conn.token.Store(nil)
			s.conn.startOver()
		}
		set.Logger.Info("a connection that was dead for long is forgotten", zap.String("storage_key", name))
		return nil
	})
}

// refreshIdle refreshes a token that nobody has used for long, unless its provider is to be left alone. It returns an error if the
// provider would say the same of any other.
func (s *Source) refreshIdle(ctx context.Context, token *record.Token) error {
	s.conn.mu.Lock()
	early := time.Now().Before(s.conn.retryAt)
	s.conn.mu.Unlock()
	if current := s.conn.token.Load(); early || current != nil && current.Generation > token.Generation {
		return nil
	}
	err := s.runNext(ctx, true, func(ctx context.Context) error { // what fails is logged there
		base, err := s.records.latest(ctx)
		if err != nil || base.Generation > token.Generation {
			return err
		}
		return s.grant.renew(ctx, nil)
	})
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Host != "" &&
		(e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError || e.Code == "invalid_client") {
		return e
	}
	return nil
}

// errNotMoved says that another node has claimed a record that was to be moved, or that the storage is too slow to be sure.
var errNotMoved = errors.New("the record could not be moved yet")

// move has the record sealed with the first key of the ring, under a claim: another node, with another first key, may be about to
// write it.
func (s *Source) move(ctx context.Context) error {
	return s.exclusively(ctx, func(ctx context.Context) error {
		if err := s.set.presence.announce(ctx); err != nil {
			return err
		}
		base, read, err := s.claims.settled(ctx)
		if err != nil || base.Generation == 0 || base.OtherClient {
			return err
		}
		doubtful := base.Claim.Doubtful()
		if base.Redeemable() {
			var until time.Time
			base, until, err = s.claims.claim(ctx, base, read)
			switch {
			case err != nil:
				return err
			case base == nil || time.Now().After(until) && !s.claims.hasNoRival(ctx, base, read):
				return errNotMoved
			}
		}
		begin := time.Now()
		if err := s.records.save(ctx, base.Released(doubtful)); err != nil {
			return err
		}
		if time.Since(begin) > lateAfter {
			s.claims.noteSlowWrite(base, read) // it may have come over a newer generation, which the next claim must not take for the last one
		}
		return s.records.store.RemoveOthers(ctx, base.Generation)
	})
}
