// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// replica keeps what is known of a connection here and its record in step.
type replica struct {
	conn  *Connection
	set   *Set
	store *store
}

// latest reads the record, and returns the newest token that is known now: with its claim, if it is as stored. If the storage
// has an older one than memory, that is mended: a write was lost, or the storage was rolled back.
func (r *replica) latest(ctx context.Context) (*Token, error) {
	token, _, err := r.read(ctx)
	return token, err
}

// read is latest that also returns when the last reading of the record began, on which a claim rests: what came before that makes no
// claim late, be it the wait for who else used the record or for one that seemed damaged.
func (r *replica) read(ctx context.Context) (token *Token, began time.Time, err error) {
	if err := r.conn.records.lock(ctx); err != nil {
		r.scheduleRecheck(r.conn.token.Load())
		return r.conn.token.Load(), time.Now(), err
	}
	defer r.conn.records.Unlock()
	began = time.Now()
	stored, err := r.store.load(ctx)
	current := r.conn.token.Load()
	defer func() { r.scheduleRecheck(r.conn.token.Load()) }()
	if err == nil && current.alive() && stored != nil && stored.end.Reason == ReasonDamaged {
		stored, began, err = r.undamaged(ctx, stored, current)
	}
	if err != nil {
		return current, began, err
	}
	token, err = r.adopt(ctx, stored, current)
	return token, began, err
}

// adopt has what is stored used, or stores what is in memory, whichever is newer. It returns that. st.records is held.
func (r *replica) adopt(ctx context.Context, stored, current *Token) (*Token, error) {
	st := r.conn
	st.mu.Lock()
	unsaved := st.unsaved
	st.mu.Unlock()
	switch {
	case unsaved != nil:
		err := r.storeUnsaved(ctx, unsaved, stored)
		return st.token.Load(), err
	case current == nil:
		if stored = r.fromSpool(ctx, stored); stored == nil {
			stored = &Token{}
		}
	case stored == nil && current.generation == 0:
		return current, nil
	case stored == nil && (current.standIn() || r.set.dead(current, time.Now())):
		stored = &Token{} // another node has forgotten it
	case current.standIn() && !current.is(stored):
		// A read in the midst of a write has found it damaged, or it was another client's. There is nothing to be mended with.
	case stored == nil || !stored.foreign && stored.generation < current.generation:
		if time.Since(st.seen) < mendAfter {
			return current, nil // a replica that lags behind, perhaps
		}
		return current, r.mend(ctx, stored, current)
	case current.is(stored):
		return stored, nil
	}
	st.token.Store(stored)
	r.keepInTime(stored)
	st.seen = time.Now()
	if current != nil {
		st.forgive()
		r.yield(current, stored) //nolint:contextcheck // what is revoked belongs to no request
	}
	return stored, nil
}

// yield gives back an account that this process has connected, if what another node has stored unawares, too late for install to
// see it, has taken its place: that has the same generation, and comes of something else.
func (r *replica) yield(current, stored *Token) {
	r.conn.mu.Lock()
	mine := current.grant != "" && r.conn.connectedHere == current.grant
	r.conn.mu.Unlock()
	if !mine || stored.standIn() || stored.generation != current.generation || stored.sameGrant(current) {
		return
	}
	r.set.Logger.Warn("the account that was connected here was overwritten by a node that had not seen it; its tokens are revoked")
	go r.revokeQuietly(current.without(stored))
}

// fromSpool returns what an earlier process has left that is newer than what is stored, when it is stored, or else stored. st.records
// is held.
func (r *replica) fromSpool(ctx context.Context, stored *Token) *Token {
	left, remove := r.unspool()
	if left != nil && stored != nil {
		if stored.foreign {
			left = nil
		} else if kept := left.over(stored); kept == stored {
			r.discard(left, stored) //nolint:contextcheck // the same
			left = nil
		} else {
			left = kept
		}
	}
	if left != nil {
		r.set.Logger.Info("storing a token that an earlier process could not store", zap.Uint64("generation", left.generation))
		if err := r.store.save(ctx, left); err != nil {
			return left // it stays in its file, too
		}
		stored = left
	}
	if remove != nil {
		remove()
	}
	return stored
}

// undamaged deals with a damaged record of a connection that is in memory: it is written again, unless the storage was only in the midst
// of writing it. It returns what is stored then, and when the last reading began. st.records is held.
func (r *replica) undamaged(ctx context.Context, stored, current *Token) (_ *Token, began time.Time, _ error) {
	if err := sleep(ctx, settleTime); err != nil {
		return nil, time.Now(), err
	}
	began = time.Now()
	again, err := r.store.load(ctx)
	if err != nil || again == nil || again.end.Reason != ReasonDamaged {
		return again, began, err
	}
	// If a newer generation was damaged the refresh token in memory may be spent.
	mended := current.released(current.claim.doubtful() || stored.generation > current.generation)
	return mended, began, r.mend(ctx, stored, mended)
}

// mend writes what is in memory over an older record. st.records is held.
func (r *replica) mend(ctx context.Context, stored, current *Token) error {
	var generation uint64
	if stored != nil {
		generation = stored.generation
	}
	r.set.Logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost; it is written again",
		zap.Uint64("stored", generation), zap.Uint64("in_memory", current.generation))
	if err := r.store.save(ctx, current); err != nil {
		return err
	}
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if r.conn.unsaved != nil && r.conn.unsaved.is(current) {
		r.conn.unsaved = nil
	}
	return nil
}

func (r *replica) load(ctx context.Context) (*Token, error) {
	if err := r.conn.records.lock(ctx); err != nil {
		return nil, err
	}
	defer r.conn.records.Unlock()
	return r.store.load(ctx)
}

func (r *replica) save(ctx context.Context, token *Token) error {
	if err := r.conn.records.lock(ctx); err != nil {
		return err
	}
	defer r.conn.records.Unlock()
	return r.store.save(ctx, token)
}
