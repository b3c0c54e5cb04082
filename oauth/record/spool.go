// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// A process that ends while its storage fails may hold a refresh token that exists nowhere else.
// It leaves the record in the spool, a folder of this machine, sealed as it would be stored, and
// the next process stores it.

// spoolFile returns the file for a record with that name.
func (s *Store) spoolFile(name string) string {
	return filepath.Join(s.Spool, s.Datasource+"-"+name)
}

// Leave leaves a token in the spool for the next process.
func (s *Store) Leave(token *Token) error {
	ring, err := s.Keys()
	if err != nil {
		return err
	}
	if s.Spool == "" {
		return fmt.Errorf("there is no folder to keep the token of %s in", s.Datasource)
	}
	name := path.Base(s.Names(ring)[0])
	raw, err := s.seal(ring, name, token)
	if err != nil {
		return err
	}
	file := s.spoolFile(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	s.Logger.Error("the storage failed until the end; the connection's record is kept in a file of this machine, and stored when Caddy starts "+
		"here again", zap.String("file", file), zap.Uint64("generation", token.Generation))
	return nil
}

// Left returns the token that an earlier process has left in the spool, under whichever key was
// the first one then, and what removes it from there. remove is nil if there is nothing.
func (s *Store) Left() (token *Token, remove func()) {
	ring, err := s.Keys()
	if err != nil || s.Spool == "" {
		return nil, nil
	}
	var files []string
	for _, name := range s.Names(ring) {
		file := s.spoolFile(path.Base(name))
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		files = append(files, file)
		if left := s.openLeft(ring, path.Base(name), raw); left != nil && (token == nil || left.newerThan(token)) {
			token = left
		}
	}
	if files == nil {
		return nil, nil
	}
	return token, func() {
		for _, file := range files {
			_ = os.Remove(file)
		}
	}
}

func (s *Store) openLeft(ring *seal.Ring, name string, raw []byte) *Token {
	left, rec, err := s.Open(ring, name, raw)
	if err != nil || rec.Identity != s.Identity {
		return nil
	}
	return left
}
