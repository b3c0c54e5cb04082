// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// replica keeps a connection's memory in this process and its record in step.
type replica Source

// lastRead is a record that says nothing more than what is known, and the token that was in use
// then.
type lastRead struct {
	token *record.Token
	mark  uint64 // see record.Store.Mark
}

// latest reads the record and returns the newest token that is known now, with the claim that
// the record has. An older record is repaired.
func (r *replica) latest(ctx context.Context) (*record.Token, error) {
	token, _, err := r.read(ctx)
	return token, err
}

// read is latest that also returns when its last reading of the record began. A claim rests on
// that reading, and only what follows it can make the claim late: not the wait for others who
// use the record, nor for one that seemed damaged.
func (r *replica) read(ctx context.Context) (token *record.Token, began time.Time, err error) {
	if err := r.conn.storing.lock(ctx); err != nil {
		r.scheduleRecheck(r.conn.token.Load())
		return r.conn.token.Load(), time.Now(), err
	}
	defer r.conn.storing.Unlock()
	began = time.Now()
	stored, err := r.store.Load(ctx)
	current := r.conn.token.Load()
	defer func() { r.scheduleRecheck(r.conn.token.Load()) }()
	if err == nil && current.Alive() && stored != nil && stored.End.Reason == record.ReasonDamaged {
		stored, began, err = r.undamaged(ctx, stored, current)
	}
	if err != nil {
		return current, began, err
	}
	if stored != nil {
		r.set.presence.need(time.Now()) // the first write may be to repair what was read
	}
	token, err = r.apply(ctx, stored, current)
	return token, began, err
}

// apply does what decide says of a record and of the token in memory, and returns the token that
// counts. The caller holds conn.storing.
func (r *replica) apply(ctx context.Context, stored, current *record.Token) (*record.Token, error) {
	r.conn.mu.Lock()
	unsaved := r.conn.unsaved
	r.conn.mu.Unlock()
	r.last = lastRead{}
	switch decide(reading{
		stored: stored, current: current, unsaved: unsaved != nil,
		dead: current != nil && r.set.dead(current, time.Now()), age: r.conn.seen.age(time.Now()),
	}) {
	case saveUnsaved:
		err := r.storeUnsaved(ctx, unsaved, stored)
		return r.conn.token.Load(), err
	case keepCurrent:
		return current, nil
	case keepStored:
		r.last = lastRead{current, r.store.Mark()}
		return stored, nil
	case repair:
		return current, r.repair(ctx, stored, current)
	case useFirst:
		if stored = r.fromSpool(ctx, stored); stored == nil {
			stored = &record.Token{}
		}
	case useNone:
		stored = &record.Token{}
	case useStored:
	}
	r.use(stored)
	r.keepInTime(stored)
	if current != nil {
		r.conn.forgive()
		r.yield(current, stored) //nolint:contextcheck // what is revoked belongs to no request
	}
	return stored, nil
}

// unchanged reports whether the record is as it was when it said nothing new, and nothing has
// changed here since. Then a recheck need not open it.
func unchanged(ctx context.Context, r *replica) bool {
	if err := r.conn.storing.lock(ctx); err != nil {
		return false
	}
	defer r.conn.storing.Unlock()
	before := r.last
	if before.mark == 0 || before.token != r.conn.token.Load() || r.conn.owing() || !r.store.Unchanged(ctx, before.mark) {
		return false
	}
	r.scheduleRecheck(before.token)
	return true
}

// use puts a token to use that the storage has. The caller holds conn.storing.
func (r *replica) use(token *record.Token) {
	r.conn.token.Store(token)
	r.conn.seen = momentOf(time.Now())
}

// yield gives an account back that this process has connected, if the record of another node has
// taken its place. That node had not seen the account, and its record came too late for Install
// to notice: it has the same generation, and comes of another consent.
func (r *replica) yield(current, stored *record.Token) {
	r.conn.mu.Lock()
	mine := current.Grant != "" && r.conn.connectedHere == current.Grant
	r.conn.mu.Unlock()
	if !mine || stored.Placeholder() || stored.Generation != current.Generation || stored.SameGrant(current) {
		return
	}
	r.set.Logger.Warn("the account that was connected here was overwritten by a node that had not seen it; its tokens are revoked")
	go r.revokeQuietly(current.Without(stored))
}

// fromSpool saves the token that an earlier process has left in the spool if it is newer than
// stored, and returns the one of the two that counts. The caller holds conn.storing.
func (r *replica) fromSpool(ctx context.Context, stored *record.Token) *record.Token {
	left, remove := r.store.Left()
	if left != nil && stored != nil {
		if stored.OtherClient {
			left = nil
		} else if kept := left.NewerOf(stored); kept == stored {
			r.discard(left, stored) //nolint:contextcheck // what is revoked belongs to no request
			left = nil
		} else {
			left = kept
		}
	}
	if left != nil {
		r.set.Logger.Info("storing a token that an earlier process could not store", zap.Uint64("generation", left.Generation))
		if err := r.store.Save(ctx, left); err != nil {
			return left // the file stays
		}
		stored = left
	}
	if remove != nil {
		remove()
	}
	return stored
}

// undamaged reads a damaged record again, since the storage may have been in the midst of
// writing it, and repairs it from memory if it is still damaged. It returns what is stored then,
// and when its last reading began. The caller holds conn.storing.
func (r *replica) undamaged(ctx context.Context, stored, current *record.Token) (_ *record.Token, began time.Time, _ error) {
	if err := sleep(ctx, settleTime); err != nil {
		return nil, time.Now(), err
	}
	began = time.Now()
	again, err := r.store.Load(ctx)
	if err != nil || again == nil || again.End.Reason != record.ReasonDamaged {
		return again, began, err
	}
	// If the damaged record had a newer generation, the refresh token in memory may be spent.
	repaired := current.Released(current.Claim.Doubtful() || stored.Generation > current.Generation)
	return repaired, began, r.repair(ctx, stored, repaired)
}

// repair writes the token in memory over an older record. The caller holds conn.storing.
func (r *replica) repair(ctx context.Context, stored, current *record.Token) error {
	var generation uint64
	if stored != nil {
		generation = stored.Generation
	}
	r.set.Logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost; it is written again",
		zap.Uint64("stored", generation), zap.Uint64("in_memory", current.Generation))
	if err := r.store.Save(ctx, current); err != nil {
		return err
	}
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if r.conn.unsaved != nil && r.conn.unsaved.Is(current) {
		r.conn.unsaved = nil
	}
	return nil
}

// load reads the record, and changes nothing in memory.
func (r *replica) load(ctx context.Context) (*record.Token, error) {
	if err := r.conn.storing.lock(ctx); err != nil {
		return nil, err
	}
	defer r.conn.storing.Unlock()
	return r.store.Load(ctx)
}

// save writes the record, and changes nothing in memory.
func (r *replica) save(ctx context.Context, token *record.Token) error {
	if err := r.conn.storing.lock(ctx); err != nil {
		return err
	}
	defer r.conn.storing.Unlock()
	return r.store.Save(ctx, token)
}
