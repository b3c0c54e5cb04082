// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"go.uber.org/zap"
)

// A process that ends while its storage fails may hold a refresh token that is nowhere else. It leaves the record, sealed as it
// would be stored, in a file of this machine, and the next one stores it.

// spoolFile returns the path of the file for a record with that name, or "" if there is no folder for such files.
func (r *replica) spoolFile(name string) string {
	if r.set.Spool == "" {
		return ""
	}
	return filepath.Join(r.set.Spool, r.store.datasource+"-"+name)
}

// spool leaves a token for the next process.
func (r *replica) spool(token *Token) error {
	ring, err := r.store.ring()
	if err != nil {
		return err
	}
	name := path.Base(r.store.names(ring)[0])
	file := r.spoolFile(name)
	if file == "" {
		return fmt.Errorf("there is no folder to keep the token of %s in", r.store.datasource)
	}
	raw, err := r.store.seal(ring, name, token)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("keeping a token that could not be stored: %w", err)
	}
	r.set.Logger.Error("the storage failed until the end; the connection's record is kept in a file of this machine, and stored when Caddy starts "+
		"here again", zap.String("file", file), zap.Uint64("generation", token.generation))
	return nil
}

// unspool returns the token that an earlier process has left, under whichever key was the first one then, and what removes it.
func (r *replica) unspool() (token *Token, remove func()) {
	ring, err := r.store.ring()
	if err != nil || r.set.Spool == "" {
		return nil, nil
	}
	var files []string
	for _, name := range r.store.names(ring) {
		file := r.spoolFile(path.Base(name))
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		files = append(files, file)
		left, rec, err := r.store.open(ring, path.Base(name), raw)
		if err == nil && rec.Identity == r.store.identity && (token == nil || left.newerThan(token)) {
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
