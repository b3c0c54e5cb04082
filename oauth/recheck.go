// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// How old what is known of a record may be. A connection that was disconnected on another node must not be served here
// half a minute later.
const (
	// recheckInterval is when a request has the record read again, in the background.
	recheckInterval = 20 * time.Second

	// recheckDeadline is when a request waits for that.
	recheckDeadline = 25 * time.Second

	// recheckAbsent is recheckInterval for a connection that cannot be served: it may have been made on another node.
	recheckAbsent = time.Second

	// recheckPatience is how long a request waits. A storage that hangs must not stop requests that have a valid token.
	recheckPatience = time.Second

	// mendAfter is how long a storage may go on to answer with what was there before.
	mendAfter = 5 * time.Second
)

// recheckAfter is when a node reads again what it has stored. Another one may have begun to write a claim before it saw that, and the
// older generation comes back with it. That one waits then, so that this is mended (see waitOutRivals), and it must not depend on a request
// whether somebody does.
var recheckAfter = [...]time.Duration{8 * time.Second, 16 * time.Second, 24 * time.Second}

// mind has the record looked at, after it was stored.
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
				set.Source(r.store.connection).records.startRecheck(time.Now())
			}
		})
	}
}

// recheck has the record read again if it is time to, and returns the token that is known then.
func (r *replica) recheck(ctx context.Context, now time.Time, token *Token) *Token {
	st := r.conn
	late := now.Sub(time.Unix(0, st.recheckAt.Load()))
	if late < 0 {
		return token
	}
	f, blind := r.startRecheck(now) //nolint:contextcheck // what one request has begun others wait for too
	if blind || token.valid(now) && late < recheckDeadline-recheckInterval {
		return token
	}
	patience := time.NewTimer(recheckPatience)
	defer patience.Stop()
	select {
	case <-f.done:
	case <-ctx.Done():
	case <-patience.C:
		st.mu.Lock()
		st.storageDownUntil = now.Add(recheckInterval)
		st.mu.Unlock()
	}
	return st.token.Load()
}

// startRecheck starts to read the record, unless somebody does. It reports whether nobody should wait for it.
func (r *replica) startRecheck(now time.Time) (f *operation, blind bool) {
	st := r.conn
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.rechecking == nil {
		st.rechecking = &operation{done: make(chan struct{})}
		go r.runRecheck(st.rechecking)
	}
	return st.rechecking, now.Before(st.storageDownUntil)
}

func (r *replica) runRecheck(f *operation) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	_, f.err = r.latest(ctx)
	r.conn.mu.Lock()
	r.conn.rechecking = nil
	if f.err != nil {
		r.conn.storageDownUntil = time.Now().Add(recheckInterval)
	}
	r.conn.mu.Unlock()
	close(f.done)
	if f.err != nil {
		r.set.Logger.Warn("the stored connection cannot be read; what is in memory is used", zap.Error(f.err))
	}
}

// scheduleRecheck sets when the record is read again.
func (r *replica) scheduleRecheck(token *Token) {
	now := time.Now()
	after := recheckInterval
	if !token.valid(now) {
		after = recheckAbsent
	}
	r.conn.recheckAt.Store(now.Add(after).UnixNano())
}
