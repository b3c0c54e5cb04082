// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

const (
	// storageTimeout bounds one use of the storage: a stalled one must not keep a token from those who wait for it.
	storageTimeout = 5 * time.Second

	// listTimeout bounds the listing of all records, of which there may be a million.
	listTimeout = time.Minute

	// orphanAge is how old a file must be that no record is, before it is removed.
	orphanAge = time.Hour
)

// store keeps the record of one connection in Caddy's storage, sealed.
//
// Its key in the storage is authenticated_api/<datasource>/<hmac of the connection>: no part of a name comes from a user,
// whose characters a storage might fold or drop (certmagic's StorageKeys.Safe makes "a/b" and "ab" the same).
type store struct {
	storage    certmagic.Storage
	places     places
	ring       func() (*seal.Ring, error) // makes a key on first need
	datasource string
	connection string // "" for the shared one

	// identity is of what a token was issued for. A token for another client, other scopes or another provider is not used.
	identity string

	term term // of the tokens in the records

	// grant says that a record holds what a human being has granted, and not just a token that can be had again.
	grant bool

	// presence has the own entry, without which no record is written, and those of other nodes; nil where nobody claims anything.
	presence *presence

	// strangers reports whether there are records of the datasource, not of this connection, that no key here opens; nil where
	// the store looks for itself.
	strangers func() bool

	swept  atomic.Int64           // Unix time of the last sweep
	kept   atomic.Pointer[string] // the damaged record that was copied last
	logger *zap.Logger
}

func (s *store) within() impatient { return impatient{s.storage, s.places} }

func (s *store) folder() string { return path.Join("authenticated_api", s.datasource) }

// names returns the names of the record under each key of the ring, the first key's first.
func (s *store) names(ring *seal.Ring) []string {
	names := ring.Names("name\x00" + s.datasource + "\x00" + s.connection)
	for i := range names {
		names[i] = path.Join(s.folder(), names[i])
	}
	return names
}

// load returns the stored token, or nil if there is none for this identity. A damaged record is put aside, never taken for
// none in silence.
//
// While keys are exchanged two nodes may write under different names. The newest record counts then, wherever it is.
func (s *store) load(ctx context.Context) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	ring, err := s.ring()
	if err != nil {
		return nil, err
	}
	var newest *Token
	found, at := 0, 0
	for i, name := range s.names(ring) {
		token, err := s.loadName(ctx, ring, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found++
		if token != nil && (newest == nil || token.newerThan(newest)) {
			newest, at = token, i
		}
	}
	if found == 0 {
		return nil, s.lookForStrangers(ctx, ring)
	}
	if at > 0 && newest != nil && !s.grant {
		// It was sealed with an older key: it moves to the new one. What people have granted moves under a claim only.
		_ = s.save(ctx, newest)
	}
	return newest, nil
}

// loadName returns the token of the record with that name, or nil if it is damaged, or not for this identity.
func (s *store) loadName(ctx context.Context, ring *seal.Ring, name string) (*Token, error) {
	raw, err := s.within().Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("loading a record: %w", err)
	}
	token, rec, err := s.open(ring, path.Base(name), raw)
	switch {
	case errors.Is(err, seal.ErrDamaged) || isUnknownKey(err): // its name is of a key of the ring, so it was sealed with that
		if kept := s.kept.Load(); kept == nil || *kept != string(raw) { // a user who waits for it has it read once a second
			s.logger.Error("a stored record is damaged; a copy of it is kept", zap.String("storage_key", name+".damaged"))
			if err := s.within().Store(ctx, name+".damaged", raw); err != nil {
				return nil, fmt.Errorf("keeping a damaged record: %w", err)
			}
			text := string(raw)
			s.kept.Store(&text)
		}
		return s.damaged(raw), nil
	case err != nil:
		return nil, err
	case rec.Identity == s.identity:
		return token, nil
	case s.grant:
		return &Token{generation: token.generation, identity: s.identity, end: ending{Reason: ReasonNotConnected}, foreign: true}, nil
	default:
		return nil, nil //nolint:nilnil // a token for something else is no token
	}
}

// damaged returns what stands for a damaged record: nothing where a token can be had again, and a connection to be made again
// where it cannot. Its generation is in clear, and must be below that of what comes next, also if it cannot be read.
func (s *store) damaged(raw []byte) *Token {
	if !s.grant {
		return nil
	}
	generation := uint64(time.Now().Unix())
	if len(raw) >= recordHead {
		if written := binary.BigEndian.Uint64(raw[1:recordHead]); written < generation {
			generation = written
		}
	}
	return &Token{generation: generation, identity: s.identity, end: ending{Reason: ReasonDamaged}}
}

// newerThan orders two records of a connection that were sealed with different keys. Of two claims of one generation the same
// one must win for everybody.
func (t *Token) newerThan(other *Token) bool {
	switch {
	case (t.end.Reason == ReasonDamaged) != (other.end.Reason == ReasonDamaged):
		return other.end.Reason == ReasonDamaged
	case t.generation != other.generation:
		return t.generation > other.generation
	case t.claim == nil || other.claim == nil:
		return t.claim != nil
	case t.claim.Attempt != other.claim.Attempt:
		return t.claim.Attempt > other.claim.Attempt // who claims the token of a dead node makes the next attempt
	case t.claim.Sent != other.claim.Sent:
		return t.claim.Sent
	default:
		return t.claim.Owner < other.claim.Owner
	}
}

// lookForStrangers returns ErrKeyMissing if there are records of this datasource that no key here opens. Their names cannot be
// known without the key.
func (s *store) lookForStrangers(ctx context.Context, ring *seal.Ring) error {
	if s.strangers != nil {
		if s.strangers() {
			return fmt.Errorf("%w: records of %s were sealed with a key that is not here; add it behind the others", ErrKeyMissing, s.datasource)
		}
		return nil
	}
	names, err := s.within().List(ctx, s.folder(), false)
	if err != nil {
		return nil //nolint:nilerr // no such folder, or a storage that cannot list
	}
	for _, name := range names {
		if !recordName.MatchString(path.Base(name)) {
			continue
		}
		raw, err := s.within().Load(ctx, name)
		if err != nil || len(raw) < recordHead {
			continue
		}
		if id, known := ring.Knows(raw[recordHead:]); id != "" && !known {
			return fmt.Errorf("%w: %s was sealed with key %s; add it behind the others, or remove the record", ErrKeyMissing, name, id)
		}
	}
	return nil
}

// save stores a token in the place of the one before.
func (s *store) save(ctx context.Context, token *Token) error {
	if err := s.presence.announce(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	ring, err := s.ring()
	if err != nil {
		return err
	}
	names := s.names(ring)
	raw, err := s.seal(ring, path.Base(names[0]), token)
	if err != nil {
		return err
	}
	if err := s.within().Store(ctx, names[0], raw); err != nil {
		return fmt.Errorf("storing a record: %w", err)
	}
	for _, name := range names[1:] {
		s.remove(ctx, name, token.generation, !s.grant) // a claim of this generation may be another node's
	}
	if !s.grant { // else the keeper sweeps: there may be a million of these
		s.sweep(ctx)
	}
	return nil
}

// removeOthers removes the records up to a generation that other keys have sealed.
func (s *store) removeOthers(ctx context.Context, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	ring, err := s.ring()
	if err != nil {
		return err
	}
	for _, name := range s.names(ring)[1:] {
		s.remove(ctx, name, generation, true)
	}
	return nil
}

// remove removes what another key has sealed, if it is older than a generation, or as old.
func (s *store) remove(ctx context.Context, name string, generation uint64, orEqual bool) {
	raw, err := s.within().Load(ctx, name)
	if err != nil || len(raw) < recordHead {
		return
	}
	if old := binary.BigEndian.Uint64(raw[1:recordHead]); old < generation || old == generation && orEqual {
		_ = s.within().Delete(ctx, name)
	}
}

// sweep removes what crashes have left in the datasource's folder: certmagic's file storage writes to a temporary file first,
// and lists it as if it were a record.
func (s *store) sweep(ctx context.Context) {
	now := time.Now()
	if last := s.swept.Load(); now.Unix()-last < int64(orphanAge/time.Second) || !s.swept.CompareAndSwap(last, now.Unix()) {
		return
	}
	names, err := s.within().List(ctx, s.folder(), false)
	if err != nil {
		return
	}
	for _, name := range names {
		if base := path.Base(name); recordName.MatchString(base) || path.Ext(base) == ".damaged" {
			continue
		}
		if info, err := s.within().Stat(ctx, name); err == nil && now.Sub(info.Modified) > orphanAge {
			_ = s.within().Delete(ctx, name)
		}
	}
}
