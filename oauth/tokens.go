// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// configuration returns what one request to the provider is made with. known returns the tokens
// that are known of the connection, which no description may show; it may be nil. The errors of
// configuration are *provider.Error.
func (m *Method) configuration(known func() []string) (*provider.Config, error) {
	to, err := m.resolve()
	if err != nil {
		return nil, &provider.Error{Err: err}
	}
	if err := m.checkUnchanged(to); err != nil {
		return nil, &provider.Error{Err: err}
	}
	to.Tokens = known
	return to, nil
}

// checkUnchanged returns an error if the client is not the one that the configuration was loaded
// with. What people have granted is for that client and its provider: another provider would
// refuse the refresh token for good.
func (m *Method) checkUnchanged(to *provider.Config) error {
	if m.Interactive() && m.bound != "" && m.identity(to) != m.bound {
		return errors.New("client_id or token_url is not what it was when the configuration was loaded; reload Caddy")
	}
	return nil
}

// fetch asks for a token by client credentials. before is the token in whose place it comes, or
// nil.
func (m *Method) fetch(ctx context.Context, known func() []string, before *record.Token) (*record.Token, error) {
	to, err := m.configuration(known)
	if err != nil {
		return nil, err
	}
	a, err := m.client.Credentials(ctx, to)
	if err != nil {
		return nil, err
	}
	return m.issued(a, to, before), nil
}

// exchange redeems an authorization code. It must not be called twice for a code.
func (m *Method) exchange(ctx context.Context, code, verifier string) (*record.Token, error) {
	to, err := m.configuration(nil)
	if err != nil {
		return nil, err
	}
	a, err := m.client.Exchange(ctx, to, code, verifier)
	if err != nil {
		return nil, err
	}
	return m.issued(a, to, nil), nil
}

// redeem redeems a refresh token. An answer that comes together with an error may have the next
// refresh token.
func (m *Method) redeem(ctx context.Context, known func() []string, refreshToken string) (*provider.Answer, error) {
	to, err := m.configuration(known)
	if err != nil {
		return nil, err
	}
	return m.client.Refresh(ctx, to, refreshToken)
}

// revoke tells the provider that tokens are of no use any more.
func (m *Method) revoke(ctx context.Context, token *record.Token) error {
	to, err := m.resolve()
	if err != nil {
		return &provider.Error{Err: err}
	}
	to.Tokens = token.Secrets
	return m.client.Revoke(ctx, to, token.Access, token.Refresh)
}

// issued returns the token of an answer.
func (m *Method) issued(a *provider.Answer, to *provider.Config, before *record.Token) *record.Token {
	token := record.New(connection.IssuedBy(a), m.term(), before)
	// As of this request: a value from a file may have changed since the configuration was loaded.
	token.Identity = m.identity(to)
	return token
}

// term returns how long tokens are used.
func (m *Method) term() record.Term {
	return record.Term{
		Configured: time.Duration(m.ExpiresIn), IDToken: m.TokenField == fieldIDToken, Before: (*time.Duration)(m.RefreshBefore),
	}
}

// Describe returns what the provider has written of an error, such as in the query of a callback,
// as operators may see it: printable, at most 300 bytes, and without the secrets of the
// datasource, the tokens of a connection, and more that is given. Callers of the API must not see
// it.
func (m *Method) Describe(name, text string, more ...string) string {
	if text == "" {
		return ""
	}
	to, err := m.resolve()
	if err != nil {
		return "" // whatever is secret in it cannot be known
	}
	to.Tokens = func() []string { return m.set.Secrets(name) }
	return to.Describe(text, more...)
}
