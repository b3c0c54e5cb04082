// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"encoding/binary"
	"path"
	"time"
)

// orphanAge is how old a file that is no record must be before it is removed.
const orphanAge = time.Hour

// RemoveOthers removes the records up to a generation that other keys have sealed.
func (s *Store) RemoveOthers(ctx context.Context, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, StorageTimeout)
	defer cancel()
	ring, err := s.Keys()
	if err != nil {
		return err
	}
	for _, name := range s.Names(ring)[1:] {
		s.remove(ctx, name, generation, true)
	}
	return nil
}

// remove removes a record that another key has sealed, if it is older than a generation, or as
// old.
func (s *Store) remove(ctx context.Context, name string, generation uint64, orEqual bool) {
	raw, err := s.Within().Load(ctx, name)
	if err != nil || len(raw) < head {
		return
	}
	if old := binary.BigEndian.Uint64(raw[1:head]); old < generation || old == generation && orEqual {
		_ = s.Within().Delete(ctx, name)
	}
}

// Sweep removes what crashes have left in the datasource's folder: certmagic's file storage writes
// a temporary file first, and lists it as if it were a record.
func (s *Store) Sweep(ctx context.Context) {
	now := time.Now()
	if last := s.swept.Load(); now.Unix()-last < int64(orphanAge/time.Second) || !s.swept.CompareAndSwap(last, now.Unix()) {
		return
	}
	names, err := s.Within().List(ctx, s.folder(), false)
	if err != nil {
		return
	}
	for _, name := range names {
		if base := path.Base(name); recordName.MatchString(base) || path.Ext(base) == ".damaged" {
			continue
		}
		if info, err := s.Within().Stat(ctx, name); err == nil && now.Sub(info.Modified) > orphanAge {
			_ = s.Within().Delete(ctx, name)
		}
	}
}
