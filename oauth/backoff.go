// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	weakrand "math/rand/v2"
	"time"
)

const (
	// lastChance is how long before the token expires there is another attempt, whatever the back-off is by then.
	lastChance = 5 * time.Second

	// maxBackoffWithout is the longest back-off while there is no valid token: the provider may be back, and callers are there.
	maxBackoffWithout = time.Minute
)

// refusedShift makes the back-off begin at a minute while the provider refuses the refresh token and the access token is valid.
const refusedShift = 6

// pause is how long no renewal starts after a failure. It never goes beyond the end of a valid token: the provider is asked again
// then, whatever it has said before. began is when the renewal did that has failed. The state's mu is held.
func (s *Source) pause(err error, began time.Time, failures int, now time.Time) time.Duration {
	jitter := weakrand.Float64() //nolint:gosec // G404: a jitter is no secret
	refused := s.set.Interactive && judge(err).refusal()
	longest := maxBackoff
	token := s.conn.token.Load()
	if token.valid(now) {
		left := token.expiry.Sub(now)
		switch {
		case token.expiry.IsZero() && refused:
			return backoff(failures, maxBackoffWithout, jitter) // its end is when the API refuses it
		case token.expiry.IsZero():
			return backoff(failures, longest, jitter)
		case refused:
			failures, longest = failures+refusedShift, maxBackoffRefused
		}
		if left > lastChance+minBackoff {
			left -= lastChance
		}
		return min(backoff(failures, longest, jitter), left)
	}
	switch {
	case !refused:
		longest = maxBackoffWithout
	case token != nil && s.conn.refusedGeneration != token.generation && began.Before(token.expiry):
		return 0 // it was of the token while that was valid
	}
	return backoff(failures, longest, jitter)
}

// asks returns when the provider asks to come again. That is not beyond the end of a valid token whose renewal it refuses: what it
// says then decides about the grant.
func (s *Source) asks(e *Error, now time.Time) time.Time {
	later := now.Add(min(maxRetryAfter, e.Retry.Sub(now)))
	if token := s.conn.token.Load(); s.set.Interactive && judge(e).refusal() && token.valid(now) && !token.expiry.IsZero() && token.expiry.Before(later) {
		return token.expiry
	}
	return later
}
