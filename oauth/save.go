// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// keep stores a token and then has it used. If it cannot be stored it is used all the same, and stored as soon as that is
// possible: it is the only one.
func (r *replica) saveAndUse(ctx context.Context, token *Token) {
	st := r.conn
	st.records.Lock() //nolint:contextcheck // what is stored here must not be lost
	err := r.store.save(context.WithoutCancel(ctx), token)
	st.token.Store(token)
	st.seen = time.Now()
	r.scheduleRecheck(token)
	st.records.Unlock()
	r.keepInTime(token)
	r.recheckAfterSave() //nolint:contextcheck // it belongs to no request

	st.mu.Lock()
	persisting := st.unsaved != nil
	st.unsaved = nil
	if err != nil {
		st.unsaved = token
	}
	st.mu.Unlock()
	if err != nil {
		r.set.Logger.Error("a new token could not be stored; it is used from memory, and storing it is tried until it succeeds", zap.Error(err))
		if !persisting {
			go r.persist() //nolint:contextcheck,gosec // G118: it belongs to no request
		}
	}
}

// persistInterval is how often it is tried to store what could not be stored.
const persistInterval = time.Second

// persist stores the state's unsaved token, however long that takes. The process waits for it before it ends; see
// connections.Destruct.
func (r *replica) persist() {
	st := r.conn
	for {
		time.Sleep(persistInterval)
		st.records.Lock()
		st.mu.Lock()
		token := st.unsaved
		st.mu.Unlock()
		if token == nil {
			st.records.Unlock()
			return
		}
		if stored, err := r.store.load(context.Background()); err == nil {
			_ = r.storeUnsaved(context.Background(), token, stored)
		}
		st.records.Unlock()
	}
}

// storeUnsaved stores the state's unsaved token, unless what is stored by now counts more: that is used then. st.records is held.
func (r *replica) storeUnsaved(ctx context.Context, unsaved, stored *Token) error {
	st := r.conn
	token := unsaved.over(stored)
	if token != stored {
		if err := r.store.save(ctx, token); err != nil {
			return err
		}
	}
	st.token.Store(token)
	st.seen = time.Now()
	r.scheduleRecheck(token)
	r.keepInTime(token)
	st.mu.Lock()
	if st.unsaved == unsaved {
		st.unsaved = nil
	}
	st.mu.Unlock()
	switch {
	case unsaved.is(token):
		r.set.Logger.Info("the token that could not be stored is stored now", zap.Uint64("generation", token.generation))
	case token == stored:
		r.set.Logger.Warn("the token that could not be stored is of no use any more: another node has gone on", zap.Uint64("generation", token.generation))
		r.discard(unsaved, stored) //nolint:contextcheck // what is revoked belongs to no request
	default:
		r.set.Logger.Info("the token that could not be stored is stored now, over what another node has stored", zap.Uint64("generation", token.generation))
	}
	return nil
}

// guessedFrom is what no generation comes to by counting: where the storage could not be read when an account was connected, the
// time is taken for one; see install.
const guessedFrom = 100_000_000

// over returns what counts of t, which comes late to the storage, and of what is stored there: the newest account that was
// connected, or the disconnect after it; and of one account the newest token.
func (t *Token) over(stored *Token) *Token {
	switch {
	case stored == nil || stored.end.Reason == ReasonDamaged:
		return t
	case t.is(stored): // with the claim of whoever redeems it next
		return stored
	case t.generation >= guessedFrom && stored.end.Reason == ReasonDisconnected && stored.changed.After(t.connected):
		return stored
	case stored.generation < t.generation || stored.generation == t.generation && stored.access == t.access && !stored.foreign:
		return t
	case stored.foreign || !t.connected.After(stored.connected) || stored.end.Reason == ReasonDisconnected && stored.changed.After(t.connected):
		return stored
	default:
		return t.with(func(t *Token) { t.generation = stored.generation + 1 })
	}
}

// replace stores a token, and has it used if that succeeds.
func (r *replica) replace(ctx context.Context, token *Token) error {
	st := r.conn
	if err := st.records.lock(ctx); err != nil {
		return err
	}
	defer st.records.Unlock()
	if err := r.store.save(ctx, token); err != nil {
		return err
	}
	st.token.Store(token)
	st.seen = time.Now()
	r.scheduleRecheck(token)
	r.recheckAfterSave() //nolint:contextcheck // it belongs to no request
	st.mu.Lock()
	defer st.mu.Unlock()
	st.unsaved = nil
	return nil
}
