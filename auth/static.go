// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// static is what the methods with a fixed secret have in common: the credential is made when the
// configuration loads and made again when the API refuses it, in case a file that it is read from
// has changed.
type static struct {
	build     func() (*Credential, error)
	renewable bool
	files     []string // that build reads
	literal   []string // the options whose secret stands in the configuration
	current   atomic.Pointer[Credential]
	refresh   sync.Mutex // held while the files are read again
}

// load makes the credential. values are the texts that build resolves.
func (s *static) load(build func() (*Credential, error), values ...string) error {
	cred, err := build()
	if err != nil {
		return err
	}
	s.build = build
	s.files = value.Files(values...)
	s.renewable = len(s.files) > 0
	s.current.Store(cred)
	return nil
}

// literals keeps the option if its secret stands in the configuration as it is.
func (s *static) literals(option, text string) {
	if value.IsLiteral(text) {
		s.literal = append(s.literal, option)
	}
}

// Literals returns the options whose secret stands in the configuration as it is.
func (s *static) Literals() []string { return s.literal }

// Credential implements Method.
func (s *static) Credential(context.Context) (*Credential, error) { return s.current.Load(), nil }

// Current implements Method.
func (s *static) Current() *Credential { return s.current.Load() }

// Renewable implements Method.
func (s *static) Renewable() bool { return s.renewable }

// Refresh implements Method: it reads {file.*} again.
func (s *static) Refresh(_ context.Context, refused *Credential) (*Credential, error) {
	if !s.renewable {
		return refused, nil
	}
	s.refresh.Lock()
	defer s.refresh.Unlock()
	current := s.current.Load()
	if current != refused {
		return current, nil // another request has been here since
	}
	return s.rebuild(current)
}

// Files implements Rereader.
func (s *static) Files() []string { return s.files }

// Reread implements Rereader.
func (s *static) Reread() (changed bool, err error) {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	current := s.current.Load()
	cred, err := s.rebuild(current)
	return err == nil && cred != current, err
}

// rebuild makes the credential again, and returns current if it is the same. s.refresh is held.
func (s *static) rebuild(current *Credential) (*Credential, error) {
	cred, err := s.build()
	if err != nil {
		return nil, fmt.Errorf("reading the credential again: %w", err)
	}
	if cred.equal(current) {
		return current, nil
	}
	s.current.Store(cred)
	return cred, nil
}
