// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
)

// App is what the console needs of the app authenticated_api.
type App interface {
	// OAuth returns the OAuth datasources of the configuration, by name. They are known when all handlers have been
	// provisioned, so it is called for each request.
	OAuth() []*oauth.Method

	// LeadsToConsole reports whether a redirect URL leads to a console of this configuration, as far as its routes tell.
	LeadsToConsole(redirectURL string) bool

	// Ring returns the keys that flows and tickets are sealed with.
	Ring() (*seal.Ring, error)
}

// datasource is what the console needs of an [oauth.Method], which documents it.
type datasource interface {
	Datasource() string
	Interactive() bool
	PerUser() bool
	Key(*caddy.Replacer) (key string, ok bool)

	Console() string
	Redirect() string
	IssuedBy() string
	Describe(connection, text string, more ...string) string

	Begin(connection, user string) (*oauth.Flow, string, error)
	BeginWithTicket(*oauth.Ticket) (*oauth.Flow, string, error)
	CheckTicket(context.Context, *oauth.Ticket) error
	Finish(ctx context.Context, flow *oauth.Flow, code string) error

	Status(ctx context.Context, connection string) (*connection.Status, error)
	Renew(ctx context.Context, connection string) error
	Disconnect(ctx context.Context, connection string) error
}

// method makes a datasource of an oauth.Method.
type method struct{ *oauth.Method }

func adapt(methods []*oauth.Method) []datasource {
	list := make([]datasource, len(methods))
	for i, m := range methods {
		list[i] = method{m}
	}
	return list
}

// Status implements datasource.
func (m method) Status(ctx context.Context, connection string) (*connection.Status, error) {
	return m.Source(connection).Status(ctx)
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

// console returns the console's public address as the configuration of a datasource has it, never as a request has it
// (T12). Its host is spelt as browsers spell it.
func console(ds datasource) *url.URL {
	u, err := url.Parse(ds.Console())
	if err != nil {
		return new(url.URL)
	}
	u.Host = strings.Replace(u.Host, u.Hostname(), ascii(u.Hostname()), 1)
	return u
}

// ascii returns a host name as browsers and the DNS have it: in lower case, and in Punycode if it is an internationalized one
// (RFC 5891 §5). What is no such name, for instance an IPv6 address, stays as it is.
func ascii(host string) string {
	if name, err := idna.Lookup.ToASCII(host); err == nil {
		return name
	}
	return strings.ToLower(host)
}

// ofHost returns the datasources that a console serves which was asked under that Host: those whose redirect_url is there, so
// that who is known to one site of a Caddy does not come to the datasources of another one (T42). If none is there a proxy
// in front has rewritten the Host, and nothing can be told by it.
func ofHost(list []datasource, host string) []datasource {
	name, _, err := net.SplitHostPort(host) // as Caddy's host matcher does, whatever stands there for a port
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	name = ascii(strings.TrimSuffix(name, "."))
	var here []datasource
	some := false
	for _, ds := range list {
		at := ds.Interactive() && strings.TrimSuffix(console(ds).Hostname(), ".") == name
		some = some || at
		if at || !ds.Interactive() {
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
