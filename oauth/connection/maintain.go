// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// due returns what the keeper must do for a connection, or nil, and whether that asks the
// provider. moved says that the record lies under the name that an older key gives it.
func (set *Set) due(name, key string, token *record.Token, moved bool) (do func(context.Context) error, renews bool) {
	now := time.Now()
	switch idle := set.KeepAlive; {
	case set.dead(token, now):
		return func(ctx context.Context) error { return set.forget(ctx, name, key, token) }, false
	case idle > 0 && token.Redeemable() && !now.Before(token.KeepAt(idle)):
		// A refresh moves the record too.
		return func(ctx context.Context) error { return refreshIdle(ctx, set.Source(key), token) }, true
	case moved:
		return set.Source(key).move, false
	case token.RefusedEarly() && token.Expiry.Sub(now) < 2*maintainInterval:
		// A process that has heard the refusal may have ended since.
		return func(context.Context) error { set.Source(key).records().askAtEnd(token); return nil }, false //nolint:contextcheck // it belongs to no request
	}
	return nil, false
}

// dead reports whether a connection has been unusable for so long that its record is deleted.
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

// forget deletes the record of a dead connection, unless the record has changed since.
func (set *Set) forget(ctx context.Context, name, key string, token *record.Token) error {
	s := set.Source(key)
	return s.exclusively(ctx, func(ctx context.Context) error {
		// A deletion that is slow does the same harm as a write that is.
		if err := set.presence.announce(ctx); err != nil {
			return err
		}
		if err := s.conn.storing.lock(ctx); err != nil {
			return err
		}
		defer s.conn.storing.Unlock()
		ring, err := s.records().store.Keys()
		if err != nil {
			return err
		}
		raw, err := s.records().store.Within().Load(ctx, name)
		if err != nil {
			return fmt.Errorf("loading a dead record: %w", err)
		}
		now, _, err := s.records().store.Open(ring, path.Base(name), raw)
		if err != nil || now.Generation != token.Generation || now.End != token.End {
			return err
		}
		if err := s.records().store.Within().Delete(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// refreshIdle refreshes a token that nobody has used for long, unless the provider has asked for
// patience. It returns an error if the provider would answer the same for any other connection.
func refreshIdle(ctx context.Context, s *Source, token *record.Token) error {
	s.conn.mu.Lock()
	early := time.Now().Before(s.conn.trouble().retryAt)
	s.conn.mu.Unlock()
	if current := s.conn.token.Load(); early || current != nil && current.Generation > token.Generation {
		return nil
	}
	err := s.runNext(ctx, true, func(ctx context.Context) error { // what fails is logged there
		base, err := s.records().latest(ctx)
		if err != nil || base.Generation > token.Generation {
			return err
		}
		return s.grant().renew(ctx, nil)
	})
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Host != "" &&
		(e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError || e.Code == "invalid_client") {
		return e
	}
	return nil
}

// errNotMoved says that another node has claimed the record that was to be moved, or that the
// storage is too slow to be sure.
var errNotMoved = errors.New("the record could not be moved yet")

// move has the record sealed with the first key of the ring, under a claim: another node, with
// another first key, may be about to write the record.
func (s *Source) move(ctx context.Context) error {
	return s.exclusively(ctx, func(ctx context.Context) error {
		if err := s.set.presence.announce(ctx); err != nil {
			return err
		}
		base, read, err := s.claims().settled(ctx)
		if err != nil || base.Generation == 0 || base.OtherClient {
			return err
		}
		doubtful := base.Claim.Doubtful()
		if base.Redeemable() {
			var until time.Time
			base, until, err = s.claims().claim(ctx, base, read)
			switch {
			case err != nil:
				return err
			case base == nil || time.Now().After(until) && !s.claims().hasNoRival(ctx, base, read):
				return errNotMoved
			}
		}
		begin := time.Now()
		if err := s.records().save(ctx, base.Released(doubtful)); err != nil {
			return err
		}
		if time.Since(begin) > lateAfter {
			// The write may have landed on a newer generation, which the next claim must not
			// take for the newest.
			s.claims().noteSlowWrite(base, read)
		}
		return s.records().store.RemoveOthers(ctx, base.Generation)
	})
}
