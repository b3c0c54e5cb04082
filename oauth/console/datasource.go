// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/net/idna"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/authenticated-api/caddy-authenticated-api/login"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// App is what the console needs from the app authenticated_api.
type App interface {
	// OAuth returns the OAuth datasources of the configuration, sorted by name. They are known
	// only when all handlers have been provisioned, so it is called for each request.
	OAuth() []*oauth.Method

	// WithoutProvider returns the datasources whose users type keys of their own, and those with a
	// login of the API's own, each sorted by name.
	WithoutProvider() ([]*keys.Method, []*login.Login)

	// LeadsToConsole reports whether a redirect URL leads to a console of this configuration, as
	// far as its routes tell.
	LeadsToConsole(redirectURL string) bool

	// Ring returns the keys that flows and tickets are sealed with.
	Ring() (*seal.Ring, error)
}

// datasource is what the console needs from an [oauth.Method], which documents the methods.
type datasource interface {
	Datasource() string
	Interactive() bool
	Connectable() bool
	PublicKeys() ([]jose.JSONWebKey, error)
	PerCaller() bool
	PerUser() bool
	Key(*caddy.Replacer) (key string, ok bool)
	Facts() oauth.Facts

	Console() string
	Redirect() string
	IssuedBy() string
	Describe(connection, text string, more ...string) string

	Begin(ctx context.Context, connection, user string) (*oauth.Flow, string, error)
	BeginWithTicket(context.Context, *oauth.Ticket) (*oauth.Flow, string, error)
	Document() *provider.ClientMetadata
	CheckTicket(context.Context, *oauth.Ticket) error
	Finish(ctx context.Context, flow *oauth.Flow, code string) error
	Denied(flow *oauth.Flow, code string) (registeredAnew bool)

	Status(ctx context.Context, connection string) (*connection.Status, error)
	Healthy(ctx context.Context) bool
	Renew(ctx context.Context, connection string) error
	Disconnect(ctx context.Context, connection string) error
}

// method turns an [oauth.Method] into a datasource.
type method struct{ *oauth.Method }

func adapt(app App) []datasource {
	methods := app.OAuth()
	own, logins := app.WithoutProvider()
	list := make([]datasource, 0, len(methods)+len(own)+len(logins))
	for _, m := range methods {
		list = append(list, method{m})
	}
	for _, m := range own {
		list = append(list, keyed{m})
	}
	for _, m := range logins {
		list = append(list, session{m})
	}
	slices.SortStableFunc(list, func(a, b datasource) int { return strings.Compare(a.Datasource(), b.Datasource()) })
	return list
}

// PerUser implements datasource. Callers whose own tokens are exchanged have no connection.
func (m method) PerUser() bool { return m.Options.PerUser() }

// PublicKeys implements datasource.
func (m method) PublicKeys() ([]jose.JSONWebKey, error) { return oauth.PublicKeys(m.Method) }

// Status implements datasource.
func (m method) Status(ctx context.Context, connection string) (*connection.Status, error) {
	return m.Source(connection).Status(ctx)
}

// Document implements datasource.
func (m method) Document() *provider.ClientMetadata { return oauth.DocumentOf(m.Method) }

// Facts implements datasource.
func (m method) Facts() oauth.Facts { return oauth.FactsOf(m.Method) }

// Denied implements datasource.
func (m method) Denied(flow *oauth.Flow, code string) (registeredAnew bool) {
	registeredAnew = oauth.Forgotten(m.Method, flow, code)
	connection.NoteDenied(m.Source(flow.Connection), code, registeredAnew)
	return registeredAnew
}

// Renew implements datasource.
func (m method) Renew(ctx context.Context, connection string) error {
	return m.Source(connection).Renew(ctx)
}

// Disconnect implements datasource.
func (m method) Disconnect(ctx context.Context, connection string) error {
	return m.Source(connection).Disconnect(ctx)
}

// find returns the datasource of that name, or nil.
func find(list []datasource, name string) datasource {
	for _, ds := range list {
		if ds.Datasource() == name {
			return ds
		}
	}
	return nil
}

// console returns the console's public address. It comes from the configuration of a datasource,
// never from a request. Its host is spelt as browsers spell it.
func console(ds datasource) *url.URL {
	u, err := url.Parse(ds.Console())
	if err != nil {
		return new(url.URL)
	}
	u.Host = strings.Replace(u.Host, u.Hostname(), ascii(u.Hostname()), 1)
	return u
}

// ascii returns a host name as browsers and the DNS write it: in lower case, and in Punycode if it
// is internationalized (RFC 5891 §5). Anything else, such as an IPv6 address, stays as it is.
func ascii(host string) string {
	if name, err := idna.Lookup.ToASCII(host); err == nil {
		return name
	}
	return strings.ToLower(host)
}

// ofHost returns the datasources whose redirect_url has the request's host, so that the users of
// one site cannot reach the datasources of another. Datasources without a redirect_url are among
// them. If no redirect_url has this host, a proxy in front has rewritten it, and all are returned.
func ofHost(list []datasource, host string) []datasource {
	// Like Caddy's host matcher, this does not ask what the port looks like.
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	name = ascii(strings.TrimSuffix(name, "."))
	var here []datasource
	some := false
	for _, ds := range list {
		at := ds.Connectable() && strings.TrimSuffix(console(ds).Hostname(), ".") == name
		some = some || at
		if at || !ds.Connectable() {
			here = append(here, ds)
		}
	}
	if !some {
		return list
	}
	return here
}

// isSecure reports whether the flows of a datasource run over https.
func isSecure(ds datasource) bool { return console(ds).Scheme == "https" }

// Interface guards
var _ datasource = method{}
