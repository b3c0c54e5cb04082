// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

const (
	// storageTimeout bounds one use of the storage: a stalled one must not keep a token from those who wait for it.
	storageTimeout = 5 * time.Second

	// recordVersion is the first byte of a record.
	recordVersion = 1

	// orphanAge is how old a file must be that no record is, before it is removed.
	orphanAge = time.Hour
)

// store keeps the record of one connection in Caddy's storage, sealed.
//
// Its key in the storage is authenticated_api/<datasource>/<hmac of the connection>: no part of a name comes from a user,
// whose characters a storage might fold or drop (certmagic's StorageKeys.Safe makes "a/b" and "ab" the same).
type store struct {
	storage    certmagic.Storage
	ring       func() (*seal.Ring, error) // makes a key on first need
	datasource string
	connection string // "" for the shared one

	// identity is of what a token was issued for. A token for another client, other scopes or another provider is not used.
	identity string

	override time.Duration // the configured lifetime, 0 if there is none

	swept  atomic.Int64 // Unix time of the last sweep
	logger *zap.Logger
}

// record is what is sealed.
type record struct {
	Identity string `json:"identity"`
	Access   string `json:"access_token"`
	ID       string `json:"id_token,omitempty"`
	Refresh  string `json:"refresh_token,omitempty"`
	Obtained int64  `json:"obtained_at"`          // Unix time in milliseconds
	Expiry   int64  `json:"expires_at,omitempty"` // the same; 0: not known
}

func (s *store) within() impatient { return impatient{s.storage} }

func (s *store) folder() string { return path.Join("authenticated_api", s.datasource) }

// context is what a record is authenticated with: moved to another connection or generation it does not open.
func (s *store) context(generation uint64) string {
	return "record\x00" + s.datasource + "\x00" + s.connection + "\x00" + strconv.FormatUint(generation, 10)
}

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
func (s *store) load(ctx context.Context) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	ring, err := s.ring()
	if err != nil {
		return nil, err
	}
	names := s.names(ring)
	for i, name := range names {
		raw, err := s.within().Load(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("loading a record: %w", err)
		}
		token, err := s.open(ring, raw)
		if errors.Is(err, seal.ErrDamaged) {
			s.logger.Error("a stored record is damaged; a copy of it is kept", zap.String("storage_key", name+".damaged"))
			return nil, s.within().Store(ctx, name+".damaged", raw)
		}
		if err != nil {
			return nil, err
		}
		if i > 0 && token != nil {
			// It was sealed with an older key: it moves to the new one.
			if err := s.save(ctx, token); err == nil {
				_ = s.within().Delete(ctx, name)
			}
		}
		return token, nil
	}
	return nil, s.lookForStrangers(ctx, ring)
}

// lookForStrangers returns ErrKeyMissing if there are records of this datasource that no key here opens. Their names cannot be
// known without the key.
func (s *store) lookForStrangers(ctx context.Context, ring *seal.Ring) error {
	if s.connection != "" {
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
		if err != nil || len(raw) < 9 {
			continue
		}
		if id, known := ring.Knows(raw[9:]); id != "" && !known {
			return fmt.Errorf("%w: %s was sealed with key %s; add it behind the others, or remove the record", ErrKeyMissing, name, id)
		}
	}
	return nil
}

var recordName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// open reads a record: its version and generation in clear, and the sealed rest.
func (s *store) open(ring *seal.Ring, raw []byte) (*Token, error) {
	if len(raw) < 9 || raw[0] != recordVersion {
		return nil, seal.ErrDamaged
	}
	generation := binary.BigEndian.Uint64(raw[1:9])
	plain, err := ring.Open(raw[9:], s.context(generation))
	if _, ok := errors.AsType[*seal.UnknownKeyError](err); ok {
		return nil, seal.ErrDamaged // its name is of a key of the ring, so it was sealed with that
	}
	if err != nil {
		return nil, err
	}
	var rec record
	if err := json.Unmarshal(plain, &rec); err != nil || rec.Access == "" {
		return nil, seal.ErrDamaged
	}
	if rec.Identity != s.identity {
		return nil, nil //nolint:nilnil // a token for something else is no token
	}
	token := &Token{access: rec.Access, id: rec.ID, refresh: rec.Refresh, generation: generation, obtained: time.UnixMilli(rec.Obtained)}
	token.identity = rec.Identity
	if s.override > 0 {
		token.setExpiry(token.obtained.Add(s.override), s.override)
	} else if rec.Expiry != 0 {
		expiry := time.UnixMilli(rec.Expiry)
		token.setExpiry(expiry, expiry.Sub(token.obtained))
		if token.obtained.After(time.Now().Add(time.Minute)) {
			token.soft = time.Time{}.Add(1) // written by a clock that is ahead: its age is not known, so it is renewed soon
		}
	}
	return token, nil
}

// save stores a token in the place of the one before.
func (s *store) save(ctx context.Context, token *Token) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	ring, err := s.ring()
	if err != nil {
		return err
	}
	rec := record{Identity: cmp.Or(token.identity, s.identity), Access: token.access, ID: token.id, Refresh: token.refresh, Obtained: token.obtained.UnixMilli()}
	if !token.expiry.IsZero() {
		rec.Expiry = token.expiry.UnixMilli()
	}
	plain, err := json.Marshal(rec) //nolint:gosec // G117: it is sealed next
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	sealed, err := ring.Seal(plain, s.context(token.generation))
	if err != nil {
		return fmt.Errorf("sealing a record: %w", err)
	}
	raw := make([]byte, 9, 9+len(sealed))
	raw[0] = recordVersion
	binary.BigEndian.PutUint64(raw[1:], token.generation)
	if err := s.within().Store(ctx, s.names(ring)[0], append(raw, sealed...)); err != nil {
		return fmt.Errorf("storing a record: %w", err)
	}
	s.sweep(ctx)
	return nil
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
