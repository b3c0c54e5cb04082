// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// addDiscovered adds to statuses what was found out of the provider. A connection that has no
// grant yet, or whose grant is renewed without it, does not know that.
func addDiscovered(m *Method, statuses []*connection.Status) {
	from, leg := m.discovery, &m.Options
	if from == nil {
		from, leg = m.second, m.Then
	}
	if from == nil || len(statuses) == 0 {
		return
	}
	f, err := from.last()
	now := &connection.Discovered{}
	if f != nil {
		var unfit error
		if now, unfit = describe(leg, f); err == nil {
			err = unfit
		}
		now.DPoP = m.DPoP || f.dpop
	}
	now.WrittenOut = writtenOut(leg)
	if failing := m.registrar.failing.Load(); failing != nil && err == nil {
		err = failing
	}
	for _, st := range statuses {
		addFound(m, st, now)
		addFailure(st, err)
	}
}

// describe returns what would be used for a grant that is made now, and why what was found is of
// no use.
func describe(leg *Options, f *found) (*connection.Discovered, error) {
	d := &connection.Discovered{Issuer: f.server.Issuer}
	to, err := leg.resolve()
	if err != nil {
		return d, nil //nolint:nilerr // it is told where it matters; what was found is known all the same
	}
	err = f.fill(leg, to)
	found := func(option, address string) string {
		if option != "" {
			return ""
		}
		return provider.Bare(address)
	}
	d.AuthorizationURL = found(leg.AuthorizationURL, to.AuthorizationURL)
	d.TokenURL = found(leg.TokenURL, to.TokenURL)
	d.RevocationURL = found(leg.RevocationURL, to.RevocationURL)
	d.Scopes, d.Resource, d.ClientAuth, d.PAR = to.Scopes, to.Resource, to.ClientAuth, to.PARURL != ""
	return d, err
}

// addFound adds to a status what would be used now. What the grant was made with stays, as long as
// nobody connects the account again.
func addFound(m *Method, st *connection.Status, now *connection.Discovered) {
	granted := st.Discovered
	d := *now
	if granted != nil {
		d = *granted
		d.WrittenOut = now.WrittenOut
		if now.Issuer == d.Issuer { // where people go, which no grant keeps
			d.AuthorizationURL, d.PAR = now.AuthorizationURL, now.PAR
		}
	}
	if chosen := m.registrar.chosen.Load(); chosen != nil && d.Issuer == chosen.issuer {
		d.Registration = cmp.Or(d.Registration, chosen.way)
		if d.Registration == chosen.way {
			d.Because = chosen.why
		}
	}
	st.Discovered = &d
}

// addFailure adds to a status why nothing that is of use can be found out, if nothing else has
// failed.
func addFailure(st *connection.Status, err error) {
	fail, failed := errors.AsType[*provider.DiscoveryError](err)
	if !failed || st.LastError != "" {
		return
	}
	st.LastError, st.LastDescription, st.Remedy = connection.DiscoveryFailed, fail.Error(), fail.Option
	st.NeedsAction = st.NeedsAction || !fail.Temporary() && st.State != connection.StateConnected
}

// writtenOut returns the options that count in place of what is found.
func writtenOut(opts *Options) (names []string) {
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"authorization_url", opts.AuthorizationURL != ""},
		{"token_url", opts.TokenURL != ""},
		{"revocation_url", opts.RevocationURL != ""},
		{"issuer", opts.Issuer != ""},
		{"scopes", len(opts.Scopes) > 0},
		{"resource", len(opts.Resource) > 0 || opts.ResourceOff},
		{"client_auth", opts.ClientAuth != ""},
		{"pkce", opts.PKCE != ""},
		{"dpop", opts.DPoP},
	} {
		if option.given {
			names = append(names, option.name)
		}
	}
	return names
}
