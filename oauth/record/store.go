// SPDX-License-Identifier: Apache-2.0

package record

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
	// StorageTimeout bounds one call of the storage: a stalled one must not keep a token from
	// those who wait for it.
	StorageTimeout = 5 * time.Second

	// ListTimeout bounds the listing of all records, of which there may be a million.
	ListTimeout = time.Minute
)

// ErrKeyMissing says that a stored record was sealed with a key that is not configured here.
var ErrKeyMissing = errors.New("the stored connection was sealed with a key that is not configured")

// Store keeps the record of one connection in Caddy's storage, sealed.
//
// Its key in the storage is authenticated_api/<datasource>/<HMAC of the connection>: no part of a
// name comes from a user, whose characters a storage might fold or drop (certmagic's
// StorageKeys.Safe makes "a/b" and "ab" the same).
type Store struct {
	*Records

	Connection string // "" for the shared one

	mark   atomic.Uint64          // of the record that Load has read; see Mark
	swept  atomic.Int64           // Unix time of the last sweep
	copied atomic.Pointer[string] // the damaged record that was copied last
}

// Records are the records of a datasource: what is the same for all of them.
type Records struct {
	Storage    certmagic.Storage
	Slots      Slots
	Failed     func()                     // see Bounded
	Keys       func() (*seal.Ring, error) // makes a key on first need
	Datasource string

	// Identity is of what a token was issued for. A token for another client, other scopes or
	// another provider is not used.
	Identity string

	// Term says how long the tokens of the records are used.
	Term Term

	// Person says that a record holds what a person has granted, and not just a token that can be
	// had again.
	Person bool

	// Node is the name of this node's entry, or "". No record is written before Announce has
	// returned nil.
	Node     string
	Announce func(context.Context) error

	// UnknownKeys reports whether there are records of the datasource, other than this
	// connection's, that no key here opens. If it is nil the store looks for itself.
	UnknownKeys func() bool

	// Spool is a folder of this machine for tokens that could not be stored, or "".
	Spool string

	Logger *zap.Logger
}

// Within returns the storage whose calls end with their contexts.
func (s *Store) Within() Bounded { return Bounded{s.Storage, s.Slots, s.Failed} }

func (s *Store) folder() string { return path.Join("authenticated_api", s.Datasource) }

// Names returns the names of the record under each key of the ring, the first key's first.
func (s *Store) Names(ring *seal.Ring) []string {
	names := ring.Names("name\x00" + s.Datasource + "\x00" + s.Connection)
	for i := range names {
		names[i] = path.Join(s.folder(), names[i])
	}
	return names
}

// Load returns the stored token, or nil if there is none for this identity. A damaged record is
// put aside, and never taken for none in silence.
//
// While keys are exchanged, two nodes may write under different names. The newest record counts
// then, wherever it is.
func (s *Store) Load(ctx context.Context) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, StorageTimeout)
	defer cancel()
	ring, err := s.Keys()
	if err != nil {
		return nil, err
	}
	var newest *Token
	found, at := 0, 0
	names := s.Names(ring)
	s.mark.Store(0)
	for i, name := range names {
		token, mark, err := s.loadName(ctx, ring, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(names) == 1 {
			s.mark.Store(mark)
		}
		found++
		if token != nil && (newest == nil || token.newerThan(newest)) {
			newest, at = token, i
		}
	}
	if found == 0 {
		return nil, s.lookForUnknownKeys(ctx, ring)
	}
	if at > 0 && newest != nil && !s.Person {
		// An older key has sealed it: it moves to the first key. A person's grant moves under a
		// claim only.
		_ = s.Save(ctx, newest)
	}
	return newest, nil
}

// loadName returns the token of the record with that name, or nil if it is damaged, or not for
// this identity. mark is that of a record that could be read, else 0.
func (s *Store) loadName(ctx context.Context, ring *seal.Ring, name string) (token *Token, mark uint64, err error) {
	raw, err := s.Within().Load(ctx, name)
	if err != nil {
		return nil, 0, fmt.Errorf("loading a record: %w", err)
	}
	token, rec, err := s.Open(ring, path.Base(name), raw)
	switch {
	case errors.Is(err, seal.ErrDamaged) || isUnknownKey(err): // a key of the ring has made the name, so it has sealed the record
		return s.damaged(raw), 0, s.putAside(ctx, name, raw)
	case err != nil:
		return nil, 0, err
	case rec.Identity == s.Identity:
		return token, markOf(raw), nil
	case s.Person:
		return &Token{Generation: token.Generation, Identity: s.Identity, End: End{Reason: ReasonNotConnected}, OtherClient: true}, 0, nil
	default:
		return nil, 0, nil
	}
}

// putAside keeps a copy of a damaged record, once: a user who waits for the record has it read
// once a second.
func (s *Store) putAside(ctx context.Context, name string, raw []byte) error {
	text := string(raw)
	if copied := s.copied.Load(); copied != nil && *copied == text {
		return nil
	}
	s.Logger.Error("a stored record is damaged; a copy of it is kept", zap.String("storage_key", name+".damaged"))
	if err := s.Within().Store(ctx, name+".damaged", raw); err != nil {
		return fmt.Errorf("keeping a damaged record: %w", err)
	}
	s.copied.Store(&text)
	return nil
}

// damaged returns what stands for a damaged record: nothing if a token can be had again, and a
// connection to be made again if not. The record's generation is in clear, and must be below the
// next one, also if it cannot be read.
func (s *Store) damaged(raw []byte) *Token {
	if !s.Person {
		return nil
	}
	generation := ClockGeneration(time.Now())
	if len(raw) >= head {
		if written := binary.BigEndian.Uint64(raw[1:head]); written < generation {
			generation = written
		}
	}
	return &Token{Generation: generation, Identity: s.Identity, End: End{Reason: ReasonDamaged}}
}

// lookForUnknownKeys returns ErrKeyMissing if there are records of this datasource that no key
// here opens. Without the key their names cannot be known.
func (s *Store) lookForUnknownKeys(ctx context.Context, ring *seal.Ring) error {
	if s.UnknownKeys != nil {
		if s.UnknownKeys() {
			return fmt.Errorf("%w: records of %s were sealed with a key that is not here; add it behind the others", ErrKeyMissing, s.Datasource)
		}
		return nil
	}
	names, err := s.Within().List(ctx, s.folder(), false)
	if err != nil {
		return nil //nolint:nilerr // there is no such folder, or the storage cannot list
	}
	for _, name := range names {
		if !recordName.MatchString(path.Base(name)) {
			continue
		}
		raw, err := s.Within().Load(ctx, name)
		if err != nil || len(raw) < head {
			continue
		}
		if id, known := ring.Knows(raw[head:]); id != "" && !known {
			return fmt.Errorf("%w: %s was sealed with key %s; add it behind the others, or remove the record", ErrKeyMissing, name, id)
		}
	}
	return nil
}

// Save stores a token in the place of the one before.
func (s *Store) Save(ctx context.Context, token *Token) error {
	if s.Announce != nil {
		if err := s.Announce(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, StorageTimeout)
	defer cancel()
	ring, err := s.Keys()
	if err != nil {
		return err
	}
	names := s.Names(ring)
	raw, err := s.seal(ring, path.Base(names[0]), token)
	if err != nil {
		return err
	}
	if err := s.Within().Store(ctx, names[0], raw); err != nil {
		return fmt.Errorf("storing a record: %w", err)
	}
	for _, name := range names[1:] {
		s.remove(ctx, name, token.Generation, !s.Person) // a claim of this generation may be another node's
	}
	if !s.Person { // a person's records are swept by the keeper: there may be a million of them
		s.Sweep(ctx)
	}
	return nil
}
