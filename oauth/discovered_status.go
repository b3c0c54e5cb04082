// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// AddDiscovered adds to a status what was found out of the provider. A connection that has no
// grant yet, or whose grant is renewed without it, does not know that.
func AddDiscovered(m *Method, st *connection.Status) {
	if m.discovery == nil || st == nil {
		return
	}
	f, err := m.discovery.last()
	if st.Discovered == nil {
		st.Discovered = new(connection.Discovered)
		if f != nil {
			st.Discovered.Issuer = f.server.Issuer
		}
	}
	if chosen := m.registrar.chosen.Load(); chosen != nil && st.Discovered.Issuer == chosen.issuer {
		if st.Discovered.Registration == "" {
			st.Discovered.Registration = chosen.way
		}
		if st.Discovered.Registration == chosen.way {
			st.Discovered.Because = chosen.why
		}
	}
	fail, failed := errors.AsType[*provider.DiscoveryError](err)
	if failing := m.registrar.failing.Load(); !failed && failing != nil {
		fail, failed = failing, true
	}
	if failed && st.LastError == "" {
		st.LastError, st.LastDescription = connection.DiscoveryFailed, fail.Error()
		if fail.Option != "" {
			st.LastDescription += "; " + fail.Option
		}
		st.NeedsAction = st.NeedsAction || !fail.Temporary() && st.State != connection.StateConnected
	}
}
