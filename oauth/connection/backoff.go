// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	weakrand "math/rand/v2"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

const (
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute

	// maxBackoffWithout is the longest back-off while there is no valid token: the provider may
	// be back, and callers wait.
	maxBackoffWithout = time.Minute

	// maxBackoffRefused is the longest back-off while the provider refuses the refresh token and
	// the access token is valid. When that ends the provider is asked in any case.
	maxBackoffRefused = time.Hour

	// refusedShift makes that back-off begin at a minute.
	refusedShift = 6

	// maxRetryAfter bounds what a provider can ask for.
	maxRetryAfter = time.Hour

	// lastChance is how long before the token expires there is another attempt, whatever the
	// back-off is.
	lastChance = 5 * time.Second
)

// backoff is how long no token request is made after that many failures in a row, longest at
// most. jitter is from 0 to 1.
func backoff(failures int, longest time.Duration, jitter float64) time.Duration {
	wait := longest
	if shift := failures - 1; shift < 12 {
		wait = min(longest, minBackoff<<shift)
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*jitter))
}

// pause is how long no renewal starts after a failure. It never goes beyond the end of a valid
// token: the provider is asked again then, whatever it has said before. began is when the
// renewal began that has failed. The caller holds mu.
func (c *Connection) pause(g grant, err error, began, now time.Time) time.Duration {
	trouble := c.trouble()
	failures := trouble.failures
	jitter := weakrand.Float64() //nolint:gosec // G404: a jitter is no secret
	refused := g.refusedBy(err)
	longest := maxBackoff
	token := c.token.Load()
	if held, ok := errors.AsType[*heldError](err); ok {
		wait := max(held.until.Sub(now), minBackoff)
		if held.stored {
			wait = min(wait, heldLook)
		}
		return wait
	}
	if token.Valid(now) {
		left := token.Expiry.Sub(now)
		switch {
		case token.Expiry.IsZero() && refused:
			return backoff(failures, maxBackoffWithout, jitter) // it ends when the API refuses it
		case token.Expiry.IsZero():
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
	case token != nil && trouble.refusedGeneration != token.Generation && began.Before(token.Expiry):
		return 0 // the provider has refused to renew a token that was valid then
	}
	return backoff(failures, longest, jitter)
}

// retryTime returns when the provider asks to come again. That is never after the end of a
// valid token whose renewal it refuses: what it says then decides about the grant.
func (c *Connection) retryTime(g grant, e *provider.Error, now time.Time) time.Time {
	later := now.Add(min(maxRetryAfter, e.Retry.Sub(now)))
	token := c.token.Load()
	if g.refusedBy(e) && token.Valid(now) && !token.Expiry.IsZero() && token.Expiry.Before(later) {
		return token.Expiry
	}
	return later
}
