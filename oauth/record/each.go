// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	weakrand "math/rand/v2"
	"path"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// maxBad is how many records that cannot be read say that the storage fails.
const maxBad = 10

// Each calls do for each record of the datasource that a key here opens and that is for this
// provider and client: those of users, or the shared one. name is the record's name in the
// storage. It returns how many records there are that no key here opens.
//
// The records come in an order of their own, so that the keepers of several nodes begin with
// different ones.
func (s *Store) Each(ctx context.Context, users bool, do func(name, connection string, token *Token) error) (unknown int, err error) {
	ring, err := s.Keys()
	if err != nil {
		return 0, err
	}
	listCtx, cancel := context.WithTimeout(ctx, ListTimeout)
	names, err := s.Within().List(listCtx, s.folder(), false)
	cancel()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("listing the stored connections: %w", err)
	}
	weakrand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] }) //nolint:gosec // G404: an order is no secret
	var failed error
	bad := 0
	for _, name := range names {
		if !recordName.MatchString(path.Base(name)) {
			continue
		}
		token, rec, err := s.loadOne(ctx, ring, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, errUnread):
			if failed = errors.Join(failed, err); ctx.Err() != nil {
				return 0, failed
			}
			if bad++; bad == maxBad {
				return 0, failed
			}
		case err != nil:
			if isUnknownKey(err) {
				unknown++
			}
			s.Logger.Warn("a stored record cannot be opened", zap.String("storage_key", name), zap.Error(err))
		case rec.Identity == s.Identity && (len(rec.Connection) > 0) == users:
			if err := do(name, string(rec.Connection), token); err != nil {
				return 0, err
			}
		}
	}
	return unknown, failed
}

// errUnread says that the storage has not given a record.
var errUnread = errors.New("loading a record")

// loadOne reads the record with a name. It returns errUnread if the storage fails.
func (s *Store) loadOne(ctx context.Context, ring *seal.Ring, name string) (*Token, *Record, error) {
	loadCtx, cancel := context.WithTimeout(ctx, StorageTimeout)
	defer cancel()
	raw, err := s.Within().Load(loadCtx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	return s.Open(ring, path.Base(name), raw)
}
