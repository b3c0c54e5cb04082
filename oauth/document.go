// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// DocumentOf returns what the Client ID Metadata Document of a method's console says, or nil if
// the method has none: a client that the operator has registered needs none.
func DocumentOf(m *Method) *provider.ClientMetadata {
	if m.registrar == nil || m.ClientID != "" || !hasDocument(m) || len(m.Registration) > 0 && !slices.Contains(m.Registration, byDocument) {
		return nil
	}
	to, err := m.resolve()
	if err != nil {
		return nil
	}
	c := clientMetadata(m, to)
	f, _ := m.discovery.last()
	c.DPoP = m.DPoP || f != nil && f.dpop
	c.ClientID, c.ClientAuth = m.Console()+documentName, m.registrar.documentAuth()
	return c
}
