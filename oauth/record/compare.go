// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// The ways in which two tokens of one connection are compared stand side by side here.

// clockGenerations is where generations begin that are Unix times, in seconds, and no counts. A
// node takes the time if it cannot read the stored generation when an account is connected;
// counting never comes so far.
const clockGenerations = 100_000_000

// ClockGeneration returns the generation to take at a time if the stored one cannot be read.
func ClockGeneration(now time.Time) uint64 { return uint64(now.Unix()) }

// fromClock reports whether a generation is a Unix time and no count.
func fromClock(generation uint64) bool { return generation >= clockGenerations }

// Is reports whether the record has this token, whatever claim the record has.
func (t *Token) Is(stored *Token) bool {
	return stored.Generation == t.Generation && stored.End == t.End && stored.Access == t.Access && !stored.OtherClient
}

// SameGrant reports whether two tokens come of one consent.
func (t *Token) SameGrant(other *Token) bool {
	if t.Grant == "" || other.Grant == "" {
		return Millis(t.Connected) == Millis(other.Connected)
	}
	return t.Grant == other.Grant
}

// Stands reports whether the storage has the record t, or one that has come of it.
func (t *Token) Stands(stored *Token) bool {
	return stored.Generation >= t.Generation && stored.SameGrant(t) && (t.End.Reason == "" || stored.End.Reason != "")
}

// NewerOf decides which of two tokens survives: t, which could not be stored in time, or the
// record. The account that was connected last wins, or the disconnect after it; within one
// account, the newest token.
func (t *Token) NewerOf(stored *Token) *Token {
	switch {
	case stored == nil || stored.End.Reason == ReasonDamaged:
		return t
	case t.Is(stored): // the record has the newest claim
		return stored
	case fromClock(t.Generation) && t.disconnectedBy(stored):
		return stored
	case stored.Generation < t.Generation || stored.Generation == t.Generation && stored.Access == t.Access && !stored.OtherClient:
		return t
	case stored.OtherClient || !t.Connected.After(stored.Connected) || t.disconnectedBy(stored):
		return stored
	default:
		return t.With(func(t *Token) { t.Generation = stored.Generation + 1 })
	}
}

// disconnectedBy reports whether the record is a disconnect that came after the account of t.
func (t *Token) disconnectedBy(stored *Token) bool {
	return stored.End.Reason == ReasonDisconnected && stored.Changed.After(t.Connected)
}

// newerThan orders two records of a connection that were sealed with different keys. Of two claims
// of one generation the same claim must win on every node.
func (t *Token) newerThan(other *Token) bool {
	switch {
	case (t.End.Reason == ReasonDamaged) != (other.End.Reason == ReasonDamaged):
		return other.End.Reason == ReasonDamaged
	case t.Generation != other.Generation:
		return t.Generation > other.Generation
	case t.Claim == nil || other.Claim == nil:
		return t.Claim != nil
	case t.Claim.Attempt != other.Claim.Attempt:
		return t.Claim.Attempt > other.Claim.Attempt // a node that takes over from a dead node makes the next attempt
	case t.Claim.Sent != other.Claim.Sent:
		return t.Claim.Sent
	default:
		return t.Claim.Owner < other.Claim.Owner
	}
}
