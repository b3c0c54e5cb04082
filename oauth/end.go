// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	weakrand "math/rand/v2"
	"time"
)

// endJitter is by how much nodes ask at different times when an access token has ended.
const endJitter = 5 * time.Second

// askAtEnd has the provider asked again when the access token of a generation has ended, whose refresh token it
// has refused early. So a grant that has truly ended is noticed although nobody uses the connection.
func (r *replica) askAtEnd(token *Token) {
	st := r.conn
	if token = st.inUse(token); token.expiry.IsZero() {
		return
	}
	st.mu.Lock()
	running := st.endAwaited == token.generation
	st.endAwaited = token.generation
	st.mu.Unlock()
	if running {
		return
	}
	r.askIn(time.Until(token.expiry), token.generation, endAgain)
}

// endAgain is when it is tried again to ask about an access token that has ended, where that brings no answer; it doubles.
const endAgain = time.Minute

// askIn has askEnded called after a time, by whatever configuration runs then.
func (r *replica) askIn(wait time.Duration, generation uint64, again time.Duration) {
	jitter := time.Duration(weakrand.Int64N(int64(endJitter))) //nolint:gosec // G404: a jitter is no secret
	time.AfterFunc(wait+jitter, func() {
		if m := r.set.pool.successor(r.set); m != nil {
			m.Source(r.store.connection).askEnded(generation, again)
		}
	})
}

// askEnded renews the token of a generation if that has ended, and there is no newer one, until the provider has said
// something of it.
func (s *Source) askEnded(generation uint64, again time.Duration) {
	over, wait := s.askOnce(generation, again)
	if !over {
		s.records.askIn(wait, generation, min(2*again, forcedLongest))
		return
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.conn.endAwaited == generation {
		s.conn.endAwaited = 0
	}
}

// askOnce is askEnded that does not come again. It reports whether that is over, or else when to come again.
func (s *Source) askOnce(generation uint64, again time.Duration) (over bool, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	base, err := s.records.latest(ctx)
	if err != nil {
		return false, again
	}
	now := time.Now()
	switch token := s.conn.inUse(base); {
	case base.generation != generation || !base.redeemable():
		return true, 0
	case token.valid(now):
		return false, time.Until(token.expiry) // the clock was set
	}
	if f, _ := s.renew(now, nil); f != nil { //nolint:contextcheck // what fails is logged there
		<-f.done
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	token := s.conn.token.Load()
	refused := s.conn.refusedGeneration == generation && judge(s.conn.lastErr).refusal()
	return refused || token == nil || token.generation != generation || !token.redeemable(), again
}
