// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// errNoConsent says that a datasource has no consent page.
var errNoConsent = errors.New("there is no consent page: authorization_url and redirect_url are missing, and refresh_token connects the account")

// Adopt connects the account of a refresh token that somebody has from elsewhere. The refresh
// token is redeemed once; if the provider refuses it, the connection stays as it is.
func Adopt(ctx context.Context, m *Method, name, refreshToken string) error {
	ctx = context.WithoutCancel(ctx) // the next refresh token is in the answer
	adopted := &record.Token{Refresh: refreshToken}
	answer, err := redeem(ctx, m, func() []string { return append(m.set.Secrets(name), refreshToken) }, adopted)
	if err != nil {
		return err
	}
	token := record.New(connection.IssuedBy(answer), m.term(), adopted)
	token.Identity = m.bound
	token.Connected = token.Obtained
	return m.Source(name).Connect(ctx, token, func(*record.Token) error { return nil })
}

// seedOf returns the option refresh_token as of now.
func seedOf(m *Method) (string, error) {
	to, err := m.resolve()
	if err != nil {
		return "", err
	}
	return to.RefreshToken, nil
}
