// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

const (
	// forcedInterval is the least time between two renewals that refusals of the API have caused.
	forcedInterval = 10 * time.Second

	// forcedLongest is the longest that this time becomes.
	forcedLongest = time.Hour
)

// forced brakes the renewals that refusals of the API cause. Otherwise a caller of a path that
// always answers 401 could make the gateway ask for a token with each request, for ever. Each
// renewal doubles the time until the next one, and only a renewal that has helped makes the time
// short again.
type forced struct {
	at   time.Time     // when the last such renewal began
	wait time.Duration // the time until the next one
}

// begin reports whether a refusal may cause a renewal now, and notes the renewal.
func (f *forced) begin(now time.Time) bool {
	quiet := now.Sub(f.at)
	switch {
	case f.at.IsZero() || quiet >= 2*forcedLongest:
		f.wait = forcedInterval
	case quiet < f.wait:
		return false
	default:
		f.wait = min(2*f.wait, forcedLongest)
	}
	f.at = now
	return true
}

// Confirm implements auth.Confirmer: the API has accepted a credential that a forced renewal has
// brought.
func (s *Source) Confirm(*auth.Credential) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.troubled().forced.wait = forcedInterval
}

// Interface guards
var (
	_ auth.Source    = (*Source)(nil)
	_ auth.Confirmer = (*Source)(nil)
)
