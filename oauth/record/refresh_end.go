// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// A refresh token may have an end of its own, which each use puts off: Keycloak's is half an hour
// away. If the provider names that end, an idle refresh token is used before it, whatever
// keep_alive is.
const (
	// idleMargin is the least time before its end that an idle refresh token is used. The margin
	// is a fifth of the token's life, so that it is not used more often than each minute; of a
	// life shorter than two minutes it is half.
	idleMargin = time.Minute

	// idleMinimum is the least age of a refresh token that is used for that reason: an end that
	// cannot be put off comes ever nearer.
	idleMinimum = 2 * time.Second
)

// setRefreshEnd sets the end of the refresh token of an answer. before is the token that t
// replaces, or nil. A refresh token that stays keeps its end, unless the provider gives it another
// one.
func setRefreshEnd(t *Token, a Issued, before *Token) {
	switch {
	case a.RefreshLifetime > 0:
		t.RefreshEnd = t.Obtained.Add(a.RefreshLifetime)
	case before != nil && t.Refresh == before.Refresh:
		t.RefreshEnd = before.RefreshEnd
	}
}

// RefreshMargin is how long before its end an idle refresh token is used.
func (t *Token) RefreshMargin() time.Duration {
	life := t.RefreshEnd.Sub(t.Obtained)
	return max(life/5, min(life/2, idleMargin))
}

// KeepAt returns when an idle refresh token is used. idle is the option keep_alive.
func (t *Token) KeepAt(idle time.Duration) time.Time {
	at := t.Asked().Add(idle)
	if t.RefreshEnd.IsZero() {
		return at
	}
	inTime := t.RefreshEnd.Add(-t.RefreshMargin())
	if soonest := t.Asked().Add(idleMinimum); inTime.Before(soonest) {
		inTime = soonest
	}
	if inTime.Before(at) {
		return inTime
	}
	return at
}

// Asked is when the provider has last said something of the refresh token.
func (t *Token) Asked() time.Time {
	if t.Refused != nil && unmillis(t.Refused.At).After(t.Obtained) {
		return unmillis(t.Refused.At)
	}
	return t.Obtained
}
