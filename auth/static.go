// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"slices"
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
	s.renewable = slices.ContainsFunc(values, value.ReadsFile)
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
