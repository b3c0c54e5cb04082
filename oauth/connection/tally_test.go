// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"maps"
	"testing"
)

// TestTallyRounds: a round of the keeper and what this process does to connections meanwhile lead
// to the same counts, in whatever order they come.
func TestTallyRounds(t *testing.T) {
	want := func(tl *tally, what string, want map[string]int) {
		t.Helper()
		if got := tl.count(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	var tl tally
	want(&tl, "nothing yet", map[string]int{})
	tl.note("ann", StateConnected)
	r := tl.begin()
	tl.found(r, "ben", StateConnected)
	tl.note("ben", StateReauthorize) // after the round has found it
	tl.note("eve", StateConnected)   // the round does not see it any more
	tl.note("joe", StateNone)        // before the round finds an old record
	tl.found(r, "joe", StateConnected)
	want(&tl, "during a round", map[string]int{StateConnected: 2, StateReauthorize: 1})
	tl.finish(r)
	want(&tl, "ann's record is gone", map[string]int{StateConnected: 1, StateReauthorize: 1})
	tl.note("ben", StateFailing)
	want(&tl, "after the round", map[string]int{StateConnected: 1, StateFailing: 1})

	given, late := tl.begin(), tl.begin() // the configuration of the first has ended
	tl.note("ann", StateConnected)
	tl.finish(given)
	tl.found(late, "ben", StateConnected)
	tl.finish(late)
	want(&tl, "two rounds", map[string]int{StateConnected: 2})
}
