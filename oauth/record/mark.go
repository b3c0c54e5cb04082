// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"hash/maphash"
)

// A record that is read again is, nearly always, stored as it was. To open it costs ten times what
// it costs to read it. So a record has a mark, by which its bytes are known again. Each writing
// seals with a nonce of its own, so what was written anew has other bytes.

// seed makes marks that nobody outside of this process can foresee.
var seed = maphash.MakeSeed()

// markOf returns the mark of a record; it is never 0.
func markOf(raw []byte) uint64 { return max(1, maphash.Bytes(seed, raw)) }

// Mark returns the mark of the record that Load has read last. It is 0 if there was none, or none
// of this identity, or if the record may have several names, while keys are exchanged.
func (s *Store) Mark() uint64 { return s.mark.Load() }

// Unchanged reports whether the record is stored with that mark. If it is not, or if that cannot
// be told, Load says what there is. It waits as long as ctx.
func (s *Store) Unchanged(ctx context.Context, mark uint64) bool {
	ring, err := s.Keys()
	if err != nil {
		return false
	}
	names := s.Names(ring)
	if len(names) != 1 {
		return false
	}
	raw, err := s.Within().Load(ctx, names[0])
	return err == nil && markOf(raw) == mark
}
