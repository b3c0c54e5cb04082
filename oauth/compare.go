// SPDX-License-Identifier: Apache-2.0

package oauth

// guessedFrom is what no generation comes to by counting: where the storage could not be read when an account was connected, the
// time is taken for one; see install.
const guessedFrom = 100_000_000

// over returns what counts of t, which comes late to the storage, and of what is stored there: the newest account that was
// connected, or the disconnect after it; and of one account the newest token.
func (t *Token) over(stored *Token) *Token {
	switch {
	case stored == nil || stored.end.Reason == ReasonDamaged:
		return t
	case t.is(stored): // with the claim of whoever redeems it next
		return stored
	case t.generation >= guessedFrom && stored.end.Reason == ReasonDisconnected && stored.changed.After(t.connected):
		return stored
	case stored.generation < t.generation || stored.generation == t.generation && stored.access == t.access && !stored.foreign:
		return t
	case stored.foreign || !t.connected.After(stored.connected) || stored.end.Reason == ReasonDisconnected && stored.changed.After(t.connected):
		return stored
	default:
		return t.with(func(t *Token) { t.generation = stored.generation + 1 })
	}
}
