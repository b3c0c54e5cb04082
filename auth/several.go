// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// Several is what a datasource has that is given more than one method: each request carries the
// credentials of all of them. It is no module, and made by NewSeveral only.
type Several struct {
	methods []Method
	places  []Placement
	user    int // the place of the method with a connection for each user; -1: there is none
	shared  several
}

// NewSeveral returns a method that is all of methods, which are provisioned, at once.
func NewSeveral(methods []Method) (*Several, error) {
	s := &Several{methods: methods, user: -1}
	sources := make([]Source, len(methods))
	for i, m := range methods {
		places := PlacementsOf(m)
		if len(places) == 0 {
			return nil, errors.New("auth: none stands beside another method; remove it")
		}
		s.places = append(s.places, places...)
		if users, ok := m.(PerRequest); ok && users.PerUser() {
			if s.user >= 0 {
				return nil, errors.New("auth: two methods have a connection for each user; one is possible, so give the other's credential " +
					"to all users, or make two datasources")
			}
			s.user = i
		}
		sources[i] = m
	}
	if err := CheckPlacements("auth", s.places); err != nil {
		return nil, err
	}
	s.shared = several{sources: sources, keeper: max(0, s.user)}
	return s, nil
}

// CaddyModule implements caddy.Module, as a Method must.
func (*Several) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{} }

// Methods returns the methods.
func (s *Several) Methods() []Method { return s.methods }

// Placement implements Method: it returns the first of the places.
func (s *Several) Placement() Placement { return s.places[0] }

// Placements implements Placed.
func (s *Several) Placements() []Placement { return s.places }

// Renewable implements Method.
func (s *Several) Renewable() bool { return slices.ContainsFunc(s.methods, Method.Renewable) }

// Credential implements Method.
func (s *Several) Credential(ctx context.Context) (*Credential, error) {
	return s.shared.Credential(ctx)
}

// Current implements Method.
func (s *Several) Current() *Credential { return s.shared.Current() }

// Refresh implements Method.
func (s *Several) Refresh(ctx context.Context, refused *Credential) (*Credential, error) {
	return s.shared.Refresh(ctx, refused)
}

// Confirm implements Confirmer.
func (s *Several) Confirm(fresh *Credential) { s.shared.Confirm(fresh) }

// Takes implements Taker.
func (s *Several) Takes() []Placement {
	var all []Placement
	for _, m := range s.methods {
		if taker, ok := m.(Taker); ok {
			all = append(all, taker.Takes()...)
		}
	}
	return all
}

// PerUser implements PerRequest.
func (s *Several) PerUser() bool { return s.user >= 0 }

// SourceFor implements PerRequest.
func (s *Several) SourceFor(repl *caddy.Replacer) (Source, bool) {
	if s.user < 0 {
		return s, true
	}
	source, ok := s.methods[s.user].(PerRequest).SourceFor(repl)
	if !ok {
		return nil, false
	}
	return s.With(source), true
}

// With returns the source of a user, whose own source is given.
func (s *Several) With(user Source) Source {
	of := several{sources: slices.Clone(s.shared.sources), keeper: s.user}
	of.sources[s.user] = user
	return &of
}

// WithCredential returns what a request of a user carries whose own credential is given.
func (s *Several) WithCredential(ctx context.Context, user *Credential) (*Credential, error) {
	parts := make([]*Credential, len(s.shared.sources))
	for i, source := range s.shared.sources {
		if i == s.user {
			parts[i] = user
			continue
		}
		var err error
		if parts[i], err = source.Credential(ctx); err != nil {
			return nil, err
		}
	}
	return join(parts, s.user), nil
}

// StandIn returns what stands for the credential of a method that has none yet: val in each place
// for which there is nothing.
func StandIn(m Method, val string) *Credential {
	if s, ok := m.(*Several); ok {
		parts := make([]*Credential, len(s.methods))
		for i, source := range s.shared.sources {
			if parts[i] = source.Current(); parts[i] == nil {
				parts[i] = StandIn(s.methods[i], val)
			}
		}
		return join(parts, s.shared.keeper)
	}
	var parts []*Credential
	for _, place := range PlacementsOf(m) {
		parts = append(parts, NewCredential(place, val))
	}
	return join(parts, 0)
}

// several are sources whose credentials go on one request.
type several struct {
	sources []Source
	keeper  int
}

// maxTogether is how many credentials are joined without an allocation.
const maxTogether = 4

// Credential implements Source.
func (s *several) Credential(ctx context.Context) (*Credential, error) {
	var room [maxTogether]*Credential
	parts := room[:0]
	for _, source := range s.sources {
		c, err := source.Credential(ctx)
		if err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	return join(parts, s.keeper), nil
}

// Current implements Source.
func (s *several) Current() *Credential {
	parts := make([]*Credential, len(s.sources))
	for i, source := range s.sources {
		if parts[i] = source.Current(); parts[i] == nil {
			return nil
		}
	}
	return join(parts, s.keeper)
}

// Refresh implements Source. An API that refuses a request does not say which of its credentials
// it has refused, so each is refreshed. One that cannot be refreshed stays.
func (s *several) Refresh(ctx context.Context, refused *Credential) (*Credential, error) {
	parts, errs := slices.Clone(refused.parts), make([]error, len(s.sources))
	for i, source := range s.sources {
		fresh, err := source.Refresh(ctx, parts[i])
		if err == nil {
			parts[i] = fresh
		}
		errs[i] = err
	}
	if slices.Equal(parts, refused.parts) {
		return refused, errors.Join(errs...)
	}
	return join(parts, s.keeper), nil
}

// Confirm implements Confirmer.
func (s *several) Confirm(fresh *Credential) {
	for i, source := range s.sources {
		if confirmer, ok := source.(Confirmer); ok {
			confirmer.Confirm(fresh.parts[i])
		}
	}
}

// Connection returns whose connection it is.
func (s *several) Connection() string {
	if named, ok := s.sources[s.keeper].(interface{ Connection() string }); ok {
		return named.Connection()
	}
	return ""
}

// Interface guards
var (
	_ Placed     = (*Several)(nil)
	_ PerRequest = (*Several)(nil)
	_ Confirmer  = (*Several)(nil)
	_ Source     = (*several)(nil)
)
