// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A recheck reads a record again, because another node may have written it. The times bound how
// old our knowledge of a record may be: a connection that was disconnected on another node must
// not be served here half a minute later.
const (
	// recheckInterval is the age at which a request starts a recheck, in the background.
	recheckInterval = 20 * time.Second

	// recheckDeadline is the age at which a request waits for the recheck.
	recheckDeadline = 25 * time.Second

	// recheckAbsent is recheckInterval for a connection that cannot be served: another node may
	// have made it.
	recheckAbsent = time.Second

	// recheckPatience is how long a request waits. A storage that hangs must not stop requests
	// that have a valid token.
	recheckPatience = time.Second
)

// recheckAfter is when a node reads a record again that it has written. A slow write of a claim
// that another node began before it saw our record may land on top and bring the older
// generation back. That node waits for us to repair the record (see waitOutRivals), so the
// repair must not depend on traffic.
var recheckAfter = [...]time.Duration{8 * time.Second, 16 * time.Second, 24 * time.Second}

// recheckAfterSave schedules the rechecks of a record that was just written.
func (r *replica) recheckAfterSave() {
	if !r.set.Interactive {
		return
	}
	for _, after := range recheckAfter {
		time.AfterFunc(after, func() {
			switch set := r.set.pool.successor(r.set); set {
			case nil:
			case r.set:
				r.startRecheck(time.Now())
			default:
				set.Source(r.store.Connection).records().startRecheck(time.Now())
			}
		})
	}
}

// recheck reads the record again if its time has come, and returns the token that is known then.
func (r *replica) recheck(ctx context.Context, now time.Time, token *record.Token) *record.Token {
	conn := r.conn
	late := now.Sub(time.Unix(0, conn.recheckAt.Load()))
	if late < 0 {
		return token
	}
	op, down := r.startRecheck(now) //nolint:contextcheck // other requests wait for it too
	if down || token.Valid(now) && late < recheckDeadline-recheckInterval {
		return token
	}
	patience := time.NewTimer(recheckPatience)
	defer patience.Stop()
	select {
	case <-op.done:
	case <-ctx.Done():
	case <-patience.C:
		conn.mu.Lock()
		conn.troubled().storageDownUntil = now.Add(recheckInterval)
		conn.mu.Unlock()
	}
	return conn.token.Load()
}

// startRecheck starts a recheck, unless one is under way. It reports whether the storage is
// down, so that nobody should wait for the recheck.
func (r *replica) startRecheck(now time.Time) (op *operation, down bool) {
	conn := r.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.rechecking == nil {
		conn.rechecking = &operation{done: make(chan struct{})}
		go r.runRecheck(conn.rechecking)
	}
	return conn.rechecking, now.Before(conn.trouble().storageDownUntil)
}

func (r *replica) runRecheck(op *operation) {
	ctx, cancel := context.WithTimeout(context.Background(), record.StorageTimeout)
	defer cancel()
	if !unchanged(ctx, r) {
		_, op.err = r.latest(ctx)
	}
	r.conn.mu.Lock()
	r.conn.rechecking = nil
	if op.err != nil {
		r.conn.troubled().storageDownUntil = time.Now().Add(recheckInterval)
	}
	r.conn.mu.Unlock()
	close(op.done)
	if op.err != nil {
		r.set.Logger.Warn("the stored connection cannot be read; what is in memory is used", zap.Error(op.err))
	}
}

// scheduleRecheck sets the time of the next recheck.
func (r *replica) scheduleRecheck(token *record.Token) {
	now := time.Now()
	after := recheckInterval
	if !token.Valid(now) {
		after = recheckAbsent
	}
	r.conn.recheckAt.Store(now.Add(after).UnixNano())
}
