// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// machine is the grant client_credentials (RFC 6749 §4.4), and whatever else needs no person. The
// gateway itself gets its tokens, at any time, so the record is a cache: it saves a token request
// after a restart and on other nodes.
type machine Source

func (g *machine) records() *replica { return (*replica)(g) }

// renew implements grant.
func (g *machine) renew(ctx context.Context, _ *record.Token) error {
	before, generation, taken := g.takeStored(ctx, time.Now())
	if taken {
		return nil
	}
	if g.set.lockout != nil {
		unlock := g.set.lockout.alone(ctx, generation)
		defer unlock()
		if before, generation, taken = g.takeStored(ctx, time.Now()); taken {
			return nil
		}
	}
	attempt, err := g.set.lockout.holds(ctx)
	if err != nil {
		return err
	}
	token, err := g.set.Fetch(ctx, g.conn.secrets, before)
	if err != nil {
		return g.set.lockout.note(ctx, attempt, err)
	}
	g.set.lockout.succeeded(ctx)
	if !token.Valid(time.Now()) {
		return &provider.Error{Err: errEnded}
	}
	token.Generation = generation + 1
	g.conn.token.Store(token) // first, so that a storage that hangs does not keep the token back
	if err := g.records().save(ctx, token); err != nil {
		g.set.Logger.Error("storing a new token failed; it is used all the same, and asked for again after a restart", zap.Error(err))
	}
	g.set.happened(EventRefreshed, g.records().store.Connection, "")
	return nil
}

// takeStored takes over a newer token that another node, or an earlier process, has stored. If
// there is none it returns the last token that is known, and its generation.
func (g *machine) takeStored(ctx context.Context, now time.Time) (before *record.Token, generation uint64, taken bool) {
	before = g.conn.token.Load()
	stored, err := g.records().load(ctx)
	switch {
	case errors.Is(err, record.ErrKeyMissing):
		g.set.Logger.Warn("the stored token was sealed with a key that is not configured; a new one is asked for and counts from now on", zap.Error(err))
	case err != nil:
		g.set.Logger.Warn("the stored token cannot be read; asking the provider", zap.Error(err))
	}
	switch {
	case before != nil:
		generation = before.Generation
	case errors.Is(err, record.ErrKeyMissing):
		generation = record.ClockGeneration(now) // above the record's, should its key come back
	}
	if stored == nil {
		return before, generation, false
	}
	if stored.Generation < generation {
		g.set.Logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost",
			zap.Uint64("stored", stored.Generation), zap.Uint64("in_memory", generation))
	}
	if stored.Generation > generation && stored.Valid(now) {
		// A token near its end is taken too: nobody must wait for the provider, and the next
		// request renews it in the background.
		g.conn.token.Store(stored)
		return nil, 0, true
	}
	if before == nil || stored.Generation > generation {
		return stored, stored.Generation, false
	}
	return before, generation, false
}

// recheck implements grant. Nobody waits for a record that is a cache.
func (*machine) recheck(_ context.Context, _ time.Time, token *record.Token) *record.Token {
	return token
}

// renewable implements grant.
func (*machine) renewable(*record.Token) bool { return true }

// finished implements grant.
func (*machine) finished(*record.Token) error { return nil }

// refusedBy implements grant. What the provider refuses is the client, and only the operator can
// correct that.
func (*machine) refusedBy(error) bool { return false }

// explain implements grant.
func (*machine) explain(err error) error { return err }
