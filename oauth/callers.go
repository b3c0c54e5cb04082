// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/caller"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// PerCaller reports whether each caller's own token is exchanged, so that there is no connection.
func (opts *Options) PerCaller() bool { return opts.Grant == grantTokenExchange }

// errPerCaller says that no token can be had without a caller.
var errPerCaller = errors.New("each caller's own token is exchanged when the caller asks, so there is no token without a caller")

// newExchanger returns the exchanger of a method that is bound, or nil for other grants.
func newExchanger(m *Method) *exchanger {
	if !m.PerCaller() {
		return nil
	}
	return &exchanger{cache: caller.New(caller.Config{
		Exchange: func(ctx context.Context, subject caller.Subject) (*record.Token, error) {
			return exchangeToken(ctx, m, subject)
		},
		Build: func(token *record.Token) *auth.Credential { return credentialOf(m, token) }, Term: m.term(), Limit: cmp.Or(m.environment.CacheSize, connection.DefaultCacheSize),
		Changed: func(err error) { changed(m, err) }, Logger: m.logger,
	})}
}

// changed tells the observer that exchanges fail, or that one has succeeded again.
func changed(m *Method, err error) {
	if m.environment.Observer == nil {
		return
	}
	event := connection.Event{Name: connection.EventRefreshed, Datasource: m.environment.Datasource}
	if err != nil {
		event.Name, event.Reason = connection.EventRefreshFailed, connection.Code(err)
	}
	m.environment.Observer.Happened(event)
}

// exchangeStatus returns the status of a datasource without connections.
func exchangeStatus(m *Method) *connection.Status {
	health := m.exchanges.cache.Health()
	err, since, refused := health.Err, health.Since, false
	if err == nil && health.Refused != nil {
		err, since, refused = health.Refused, health.RefusedSince, true
	}
	return connection.Exchanged(m.environment.Datasource, m.Grant, health.Succeeded, since, err, refused)
}

// exchangesOf returns how the set of a method without connections knows what is to be said, or nil
// for other grants.
func exchangesOf(m *Method) func() connection.Exchanges {
	if !m.PerCaller() {
		return nil
	}
	return func() connection.Exchanges {
		cached, valid := m.exchanges.cache.Counts()
		return connection.Exchanges{Status: exchangeStatus(m), Cached: cached, Valid: valid}
	}
}
