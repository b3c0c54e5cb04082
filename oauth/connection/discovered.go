// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// DiscoveryFailed is the LastError of a datasource whose provider cannot be discovered.
const DiscoveryFailed = "discovery_failed"

// Discovered is what was found out of a provider, and of the client there.
type Discovered struct {
	// Issuer is the provider's identifier, "" as long as it is not known.
	Issuer string `json:"issuer,omitempty"`

	// Registration says how the client is registered: client_id (by the operator),
	// metadata_document or dynamic. It is "" as long as that is not known.
	Registration string `json:"registration,omitempty"`

	// Because says why it is registered so.
	Because string `json:"because,omitempty"`

	// ClientID is the client's identifier, if the operator has written none.
	ClientID string `json:"client_id,omitempty"`

	// Scopes are what the person was asked for.
	Scopes []string `json:"scopes,omitempty"`
}

// discoveredBy returns what a grant was made with, or nil.
func discoveredBy(token *record.Token) *Discovered {
	if token == nil || token.Origin == nil || token.Origin.Issuer == "" {
		return nil
	}
	o := token.Origin
	d := &Discovered{Issuer: o.Issuer, ClientID: o.ClientID, Scopes: o.Scopes, Registration: "client_id"}
	if o.Registered {
		d.Registration = "dynamic"
	} else if o.ClientID != "" {
		d.Registration = "metadata_document"
	}
	return d
}

func isDiscovery(err error) bool {
	_, is := errors.AsType[*provider.DiscoveryError](err)
	return is
}
