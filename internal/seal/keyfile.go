// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadKeyFile reads a key from a file.
func ReadKeyFile(file string) (*Key, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := ParseKey(string(content))
	if err != nil {
		return nil, fmt.Errorf("reading the key in %s: %w", file, err)
	}
	return key, nil
}

// CreateKeyFile makes a key and stores it in a file that only its owner can read. If the file
// exists already, it returns the key in it, and created is false. The file never exists without
// the whole key in it: after a crash that cut the key, nothing that was sealed with it could be
// opened.
func CreateKeyFile(file string) (key *Key, created bool, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, false, fmt.Errorf("storing a new key: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".key-*") // mode 0600
	if err != nil {
		return nil, false, fmt.Errorf("storing a new key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(NewKey() + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, false, fmt.Errorf("storing a new key: %w", err)
	}
	// Unlike a rename, a link never replaces a file that another process has just made.
	err = os.Link(tmp.Name(), file)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = copyNew(tmp.Name(), file) // a file system without links
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("storing a new key: %w", err)
	}
	created = err == nil
	key, err = ReadKeyFile(file)
	return key, created, err
}

// copyNew copies a file to a name that must not exist yet.
func copyNew(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
