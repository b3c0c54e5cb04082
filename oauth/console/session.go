// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/login"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// session turns a [login.Login] into a datasource: operators see how the gateway's own login is,
// and have it tried again.
type session struct{ *login.Login }

// errNoAccount is about what only an account at a provider has.
var errNoAccount = errors.New("the gateway logs in by itself; there is no account to connect")

func (session) Interactive() bool                                { return false }
func (session) Connectable() bool                                { return false }
func (session) PerCaller() bool                                  { return false }
func (session) PerUser() bool                                    { return false }
func (session) Key(*caddy.Replacer) (string, bool)               { return "", true }
func (session) Console() string                                  { return "" }
func (session) Redirect() string                                 { return "" }
func (session) IssuedBy() string                                 { return "" }
func (session) Describe(string, string, ...string) string        { return "" }
func (session) Denied(*oauth.Flow, string) bool                  { return false }
func (session) Document() *provider.ClientMetadata               { return nil }
func (session) PublicKeys() ([]jose.JSONWebKey, error)           { return nil, nil }
func (session) CheckTicket(context.Context, *oauth.Ticket) error { return errNoAccount }
func (session) Disconnect(context.Context, string) error         { return errNoAccount }
func (session) Finish(context.Context, *oauth.Flow, string) error {
	return errNoAccount
}

func (session) Begin(context.Context, string, string) (*oauth.Flow, string, error) {
	return nil, "", errNoAccount
}

func (session) BeginWithTicket(context.Context, *oauth.Ticket) (*oauth.Flow, string, error) {
	return nil, "", errNoAccount
}

// Facts implements datasource.
func (s session) Facts() oauth.Facts { return oauth.Facts{API: s.API()} }

// Healthy implements datasource.
func (s session) Healthy(ctx context.Context) bool { return s.Connections().Healthy(ctx) }

// Status implements datasource.
func (s session) Status(ctx context.Context, _ string) (*connection.Status, error) {
	return s.Connections().Shared().Status(ctx)
}

// Renew implements datasource.
func (s session) Renew(ctx context.Context, _ string) error {
	return s.Connections().Shared().Renew(ctx)
}

// Interface guards
var _ datasource = session{}
