// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// configuration returns the configuration of one request to the provider. known returns the
// tokens of the connection, which no description may show; it may be nil. The errors of
// configuration are *provider.Error.
func configuration(m *Method, known func() []string) (*provider.Config, error) {
	to, err := latestConfig(&m.Options)
	if err != nil {
		return nil, &provider.Error{Err: err}
	}
	if err := checkUnchanged(m, to); err != nil {
		return nil, &provider.Error{Err: err}
	}
	to.Tokens = known
	return to, nil
}

// checkUnchanged returns an error if the client or its provider has changed since the
// configuration was loaded. What people have granted is for the client and the provider of that
// time: another provider would refuse the refresh token for good.
func checkUnchanged(m *Method, to *provider.Config) error {
	if m.Interactive() && m.bound != "" && m.identity(to) != m.bound {
		return errors.New("client_id or token_url is not what it was when the configuration was loaded; reload Caddy")
	}
	return nil
}

// requested sends a token request, and tells the observer and the trace what came of it.
func requested(ctx context.Context, m *Method, to *provider.Config, send func() (*provider.Answer, error)) (*provider.Answer, error) {
	began := time.Now()
	span := startSpan(ctx, m, to)
	answer, err := send()
	span.end(answer, err)
	if m.environment.Observer != nil {
		m.environment.Observer.Requested(time.Since(began), err)
	}
	return answer, err
}

// fetch asks for a token by a grant that needs no person. before is the token that it replaces, or
// nil.
func (m *Method) fetch(ctx context.Context, known func() []string, before *record.Token) (*record.Token, error) {
	to, err := configuration(m, known)
	if err != nil {
		return nil, err
	}
	origin, err := complete(ctx, m, to, before)
	if err != nil {
		return nil, err
	}
	a, err := requested(ctx, m, to, func() (*provider.Answer, error) { return ask(ctx, m, to) })
	if gone(m, origin, err) {
		if again, e := configuration(m, known); e == nil {
			to = again
		}
		if origin, err = complete(ctx, m, to, nil); err != nil {
			return nil, err
		}
		a, err = requested(ctx, m, to, func() (*provider.Answer, error) { return ask(ctx, m, to) })
		gone(m, origin, err)
	}
	if err != nil {
		return nil, err
	}
	if err := bound(ctx, m, to, a); err != nil {
		return nil, err
	}
	token := issued(m, a, to, before)
	token.Origin = origin
	return token, nil
}

// exchange redeems the authorization code of a flow. It must not be called twice for a code.
func exchange(ctx context.Context, m *Method, flow *Flow, code string) (*record.Token, error) {
	to, err := configuration(m, nil)
	if err != nil {
		return nil, err
	}
	to.RedirectURL = cmp.Or(flow.Redirect, to.RedirectURL) // as in the authorization request, RFC 6749 §4.1.3
	origin, err := originOfFlow(ctx, m, flow, to)
	if err != nil {
		return nil, err
	}
	a, err := requested(ctx, m, to, func() (*provider.Answer, error) {
		return clientFor(m, to.Public.Token).Exchange(ctx, to, code, flow.Verifier)
	})
	gone(m, origin, err)
	if err != nil {
		return nil, err
	}
	if err := bound(ctx, m, to, a); err != nil {
		return nil, err
	}
	if m.registrar != nil {
		m.registrar.denied.Store(false)
	}
	token := issued(m, a, to, nil)
	token.Origin = origin
	return token, nil
}

// redeem redeems the refresh token of mine. An answer that comes together with an error may have
// the next refresh token.
func redeem(ctx context.Context, m *Method, known func() []string, mine *record.Token) (*provider.Answer, error) {
	to, err := configuration(m, known)
	if err != nil {
		return nil, err
	}
	if mine.Origin != nil {
		restore(&m.Options, to, latestSecret(m, mine.Origin, to))
		if err := prove(m, to, mine.Origin); err != nil {
			return nil, &provider.Error{Err: err}
		}
	} else if m.discovery != nil {
		if _, err := complete(ctx, m, to, nil); err != nil {
			return nil, err
		}
		to.Proof = nil // the grant was made without a key, and goes on so
	}
	named := to.Public.Token && to.RefreshURL == "" // refresh_url is the operator's
	answer, err := requested(ctx, m, to, func() (*provider.Answer, error) { return clientFor(m, named).Refresh(ctx, to, mine.Refresh) })
	if gone(m, mine.Origin, err) {
		e, _ := errors.AsType[*provider.Error](err)
		e.ClientGone = true // a refresh token is of no use to another client (RFC 6749 §6)
	}
	return answer, err
}

// revoke tells the provider that the tokens are not used any more.
func revoke(ctx context.Context, m *Method, token *record.Token) error {
	to, err := latestConfig(&m.Options)
	if err != nil {
		return &provider.Error{Err: err}
	}
	to.Tokens = token.Secrets
	if token.Origin != nil {
		restore(&m.Options, to, latestSecret(m, token.Origin, to))
	}
	return clientFor(m, to.Public.Revocation).Revoke(ctx, to, token.Access, token.Refresh)
}

// issued returns the token of an answer. before is the token that it replaces, or nil.
func issued(m *Method, a *provider.Answer, to *provider.Config, before *record.Token) *record.Token {
	token := record.New(connection.IssuedBy(a), m.term(), before)
	// The identity is that of this request: a value from a file may have changed since the
	// configuration was loaded.
	token.Identity = m.identity(to)
	if discovers(&m.Options) {
		token.Identity = m.bound // what was found out is no part of it
	}
	return token
}

// Describe returns the provider's text about an error, such as in the query of a callback, as
// operators may see it: printable, at most 300 bytes, and without the secrets of the datasource,
// the tokens of the connection name, and the texts more. Callers of the API must not see the
// text.
func (m *Method) Describe(name, text string, more ...string) string {
	if text == "" {
		return ""
	}
	to, err := latestConfig(&m.Options)
	if err != nil {
		return "" // nobody knows which parts of the text are secret
	}
	to.Tokens = func() []string { return m.set.Secrets(name) }
	return to.Describe(text, more...)
}
