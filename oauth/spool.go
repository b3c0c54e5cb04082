// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// A process that ends while its storage fails may hold a refresh token that is nowhere else. It leaves the record, sealed as it
// would be stored, in a file of this machine, and the next one stores it.

// spoolFile returns the path of the file for the connection's record, or "" if there is no folder for such files.
func (s *Source) spoolFile(ring *seal.Ring) string {
	if s.method.environment.Spool == "" {
		return ""
	}
	return filepath.Join(s.method.environment.Spool, s.store.datasource+"-"+path.Base(s.store.names(ring)[0]))
}

// spool leaves a token for the next process.
func (s *Source) spool(token *Token) error {
	ring, err := s.store.ring()
	if err != nil {
		return err
	}
	file := s.spoolFile(ring)
	if file == "" {
		return fmt.Errorf("there is no folder to keep the token of %s in", s.store.datasource)
	}
	raw, err := s.store.seal(ring, path.Base(s.store.names(ring)[0]), token)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	s.logger.Error("the storage failed until the end; the connection's record is kept in a file of this machine, and stored when Caddy starts "+
		"here again", zap.String("file", file), zap.Uint64("generation", token.generation))
	return nil
}

// unspool returns the token that an earlier process has left, if it is newer than the stored one, and what removes it.
func (s *Source) unspool(stored *Token) (token *Token, remove func()) {
	ring, err := s.store.ring()
	if err != nil {
		return nil, nil
	}
	file := s.spoolFile(ring)
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, nil
	}
	remove = func() { _ = os.Remove(file) }
	token, rec, err := s.store.open(ring, path.Base(s.store.names(ring)[0]), raw)
	if err != nil || rec.Identity != s.store.identity || stored != nil && (stored.foreign || stored.generation >= token.generation) {
		return nil, remove
	}
	return token, remove
}
