// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// connected is an auth method with connections: its credentials are kept in the storage under the
// name of the datasource.
type connected interface {
	auth.Method

	// Bind gives the method what it works in. It is called once, after Provision.
	Bind(connection.Environment) error

	// Connections returns the connections. It is nil before Bind.
	Connections() *connection.Set

	// UseProxy has requests of the method's own go through the forward proxy of the API's
	// transport.
	UseProxy(proxy func(*http.Request) (*url.URL, error))
}

// grantName is what status and metrics call the way in which the credentials of a method are got.
func grantName(m connected) string {
	switch m := m.(type) {
	case *oauth.Method:
		return m.Grant
	default:
		return m.CaddyModule().ID.Name()
	}
}

// connectedOf returns the method of a datasource that has connections, or nil.
func connectedOf(ds *datasource) connected {
	for _, method := range ds.methods {
		if m, ok := method.(connected); ok {
			return m
		}
	}
	return nil
}

// Connections implements admin.App: it returns the connections of all datasources that have any,
// in order of their names.
func (a *App) Connections() []*connection.Set {
	methods := a.registry.methods()
	sets := make([]*connection.Set, 0, len(methods))
	for _, m := range methods {
		sets = append(sets, m.Connections())
	}
	return sets
}
