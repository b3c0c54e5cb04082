// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// repairAfter is how long a storage may go on to answer with an older record after a newer one
// was stored. Within that time an older record is a stale answer; later it is a record that must
// be repaired.
const repairAfter = 5 * time.Second

// decision says what is done after a reading of a record.
type decision int

const (
	// saveUnsaved stores the token that could not be stored when it came, unless the record
	// counts more.
	saveUnsaved decision = iota

	// useFirst uses the record, or the token that an earlier process has left in the spool:
	// nothing is known in memory.
	useFirst

	// useNone forgets the connection: another node has deleted its record.
	useNone

	// useStored uses the record: another node has written it.
	useStored

	// keepStored goes on with the token in memory, of which the record has the newest claim.
	keepStored

	// keepCurrent goes on with the token in memory: the storage lags behind, or there is nothing
	// to know.
	keepCurrent

	// repair writes the token in memory over an older record: a write was lost, or the storage was
	// rolled back.
	repair
)

// reading is what a decision rests on.
type reading struct {
	stored  *record.Token // the record; nil if there is none
	current *record.Token // the token in memory; nil if nothing is known
	unsaved bool          // there is a token that could not be stored
	dead    bool          // current is so long dead that its record may have been deleted
	age     time.Duration // how long current has been known
}

// decide returns what counts of a record and of memory. The newer generation counts, and a
// record of the same generation if it differs. A placeholder in memory, which stands for a
// record of which nothing can be used, counts for nothing.
func decide(r reading) decision {
	switch {
	case r.unsaved:
		return saveUnsaved
	case r.current == nil:
		return useFirst
	case r.stored == nil && r.current.Generation == 0:
		return keepCurrent
	case r.stored == nil && (r.current.Placeholder() || r.dead):
		return useNone
	case r.current.Placeholder() && !r.current.Is(r.stored):
		return useStored
	case r.stored == nil || !r.stored.OtherClient && r.stored.Generation < r.current.Generation:
		if r.age < repairAfter {
			return keepCurrent
		}
		return repair
	case r.current.Is(r.stored):
		return keepStored
	default:
		return useStored
	}
}
