// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	weakrand "math/rand/v2"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

const (
	// endJitter spreads the nodes' requests when an access token has ended.
	endJitter = 5 * time.Second

	// endAgain is when the provider is asked again about an access token that has ended, if the
	// first request brings no answer. It doubles each time.
	endAgain = time.Minute
)

// askAtEnd has the provider asked again when the access token of a generation ends, because it
// has refused the refresh token before that end. So a grant that has truly ended is noticed even
// if nobody uses the connection.
func (r *replica) askAtEnd(token *record.Token) {
	if token = r.conn.inUse(token); token.Expiry.IsZero() {
		return
	}
	r.conn.mu.Lock()
	trouble := r.conn.troubled()
	running := trouble.endAwaited == token.Generation
	trouble.endAwaited = token.Generation
	r.conn.mu.Unlock()
	if !running {
		r.askIn(time.Until(token.Expiry), token.Generation, endAgain)
	}
}

// askIn calls askEnded after a time, for the configuration that runs then.
func (r *replica) askIn(wait time.Duration, generation uint64, again time.Duration) {
	jitter := time.Duration(weakrand.Int64N(int64(endJitter))) //nolint:gosec // G404: a jitter is no secret
	time.AfterFunc(wait+jitter, func() {
		if set := r.set.pool.successor(r.set); set != nil {
			askEnded(set.Source(r.store.Connection), generation, again)
		}
	})
}

// askEnded renews the token of a generation once the token has ended, if there is no newer token.
// It comes again until the provider has said something about the refresh token.
func askEnded(s *Source, generation uint64, again time.Duration) {
	done, wait := askOnce(s, generation, again)
	if !done {
		s.records().askIn(wait, generation, min(2*again, forcedLongest))
		return
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if trouble := s.conn.troubled(); trouble.endAwaited == generation {
		trouble.endAwaited = 0
	}
}

// askOnce is one attempt of askEnded. It reports whether that was the last attempt, or how long to
// wait for the next.
func askOnce(s *Source, generation uint64, again time.Duration) (done bool, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), record.StorageTimeout)
	defer cancel()
	base, err := s.records().latest(ctx)
	if err != nil {
		return false, again
	}
	now := time.Now()
	switch token := s.conn.inUse(base); {
	case base.Generation != generation || !base.Redeemable():
		return true, 0
	case token.Valid(now):
		return false, time.Until(token.Expiry) // the clock was set
	}
	if op, _ := s.renew(ctx, now, nil); op != nil { // a failure is logged there
		<-op.done
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	token := s.conn.token.Load()
	trouble := s.conn.trouble()
	refused := trouble.refusedGeneration == generation && s.grant().refusedBy(trouble.lastErr)
	return refused || token == nil || token.Generation != generation || !token.Redeemable(), again
}
