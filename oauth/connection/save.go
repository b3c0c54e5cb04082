// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// saveInterval is how often a token is offered to the storage that could not be stored.
const saveInterval = time.Second

// saveAndUse stores a token and puts it to use. A token that cannot be stored is used from
// memory, and stored as soon as the storage works: there is no other one.
func (r *replica) saveAndUse(ctx context.Context, token *record.Token) {
	conn := r.conn
	conn.storing.Lock() //nolint:contextcheck // what is stored here must not be lost
	err := r.store.Save(context.WithoutCancel(ctx), token)
	r.use(token)
	r.scheduleRecheck(token)
	conn.storing.Unlock()
	r.keepInTime(token)
	r.recheckAfterSave() //nolint:contextcheck // it belongs to no request

	conn.mu.Lock()
	saving := conn.unsaved != nil
	conn.unsaved = nil
	if err != nil {
		conn.unsaved = token
	}
	conn.mu.Unlock()
	if err != nil {
		r.set.Logger.Error("a new token could not be stored; it is used from memory, and storing it is tried until it succeeds", zap.Error(err))
		if !saving {
			go r.retrySave() //nolint:contextcheck,gosec // G118: it belongs to no request
		}
	}
}

// retrySave stores the unsaved token, however long that takes. The process waits for it before
// it ends (Pool.Destruct).
func (r *replica) retrySave() {
	for {
		time.Sleep(saveInterval)
		r.conn.storing.Lock()
		r.conn.mu.Lock()
		token := r.conn.unsaved
		r.conn.mu.Unlock()
		if token == nil {
			r.conn.storing.Unlock()
			return
		}
		if stored, err := r.store.Load(context.Background()); err == nil {
			_ = r.storeUnsaved(context.Background(), token, stored)
		}
		r.conn.storing.Unlock()
	}
}

// storeUnsaved stores the unsaved token, unless the record counts more by now; then it uses the
// record. The caller holds conn.storing.
func (r *replica) storeUnsaved(ctx context.Context, unsaved, stored *record.Token) error {
	token := unsaved.NewerOf(stored)
	if token != stored {
		if err := r.store.Save(ctx, token); err != nil {
			return err
		}
	}
	r.use(token)
	r.scheduleRecheck(token)
	r.keepInTime(token)
	r.conn.mu.Lock()
	if r.conn.unsaved == unsaved {
		r.conn.unsaved = nil
	}
	r.conn.mu.Unlock()
	generation := zap.Uint64("generation", token.Generation)
	switch {
	case unsaved.Is(token):
		r.set.Logger.Info("the token that could not be stored is stored now", generation)
	case token == stored:
		r.set.Logger.Warn("the token that could not be stored is of no use any more: another node has gone on", generation)
		r.discard(unsaved, stored) //nolint:contextcheck // what is revoked belongs to no request
	default:
		r.set.Logger.Info("the token that could not be stored is stored now, over what another node has stored", generation)
	}
	return nil
}

// replace stores a token, and puts it to use only if the storage has it.
func (r *replica) replace(ctx context.Context, token *record.Token) error {
	if err := r.conn.storing.lock(ctx); err != nil {
		return err
	}
	defer r.conn.storing.Unlock()
	if err := r.store.Save(ctx, token); err != nil {
		return err
	}
	r.conn.token.Store(token)
	r.conn.seen = momentOf(time.Now())
	r.scheduleRecheck(token)
	r.recheckAfterSave() //nolint:contextcheck // it belongs to no request
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	r.conn.unsaved = nil
	return nil
}
