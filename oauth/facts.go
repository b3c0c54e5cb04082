// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Facts are what people may know of a datasource, as its configuration was loaded.
type Facts struct {
	// API is the host of the API, "" if it is not known.
	API string

	// Provider is the host of the token endpoint.
	Provider string

	// Scopes are what the provider is asked for.
	Scopes []string

	// Revokes says that the provider is told when an account is disconnected.
	Revokes bool
}

func factsOf(to *provider.Config, env Environment) Facts {
	f := Facts{API: env.API, Scopes: to.Scopes, Revokes: to.RevocationURL != ""}
	if u, err := url.Parse(to.TokenURL); err == nil {
		f.Provider = u.Host
	}
	return f
}

// FactsOf returns what people may know of the datasource of a method.
func FactsOf(m *Method) Facts { return m.facts }
