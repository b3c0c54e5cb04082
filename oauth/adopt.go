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

// errNoConsent says that a datasource has no consent page.
var errNoConsent = errors.New("there is no consent page: authorization_url and redirect_url are missing, and refresh_token connects the account")

// Adopt connects the account of a refresh token that somebody has from elsewhere. The refresh
// token is redeemed once; if the provider refuses it, the connection stays as it is.
func Adopt(ctx context.Context, m *Method, name, refreshToken string) error {
	ctx = context.WithoutCancel(ctx) // the next refresh token is in the answer
	origin, err := handedOut(ctx, m, nil)
	if err != nil {
		return err
	}
	adopted := &record.Token{Refresh: refreshToken, Origin: origin}
	answer, err := redeem(ctx, m, func() []string { return append(m.set.Secrets(name), refreshToken) }, adopted)
	if err != nil {
		return err
	}
	token := record.New(connection.IssuedBy(answer), m.term(), adopted)
	token.Identity = m.bound
	token.Connected, token.Origin = token.Obtained, connection.OriginOf(answer, origin, m.logger)
	return m.Source(name).Connect(ctx, token, func(*record.Token) error { return nil })
}

// handedOut returns where a refresh token belongs that somebody has from elsewhere: to the
// provider that is found, and to a key that is made for it (RFC 9449 §5: a public client's refresh
// token may become bound with its first use). before is what was returned for the same refresh
// token, or nil.
func handedOut(ctx context.Context, m *Method, before *record.Origin) (*record.Origin, error) {
	to, err := configuration(m, nil)
	if err != nil {
		return nil, err
	}
	var made *record.Token
	if before != nil {
		made = &record.Token{Origin: before}
	}
	return complete(ctx, m, to, made)
}

// seedOrigin returns where the option refresh_token belongs. That is stored before the refresh
// token is sent for the first time: the issuer that is found first is the only one that gets it,
// whichever issuer an API names later, and all attempts of all nodes have one key.
func seedOrigin(ctx context.Context, m *Method, seed string) (*record.Origin, error) {
	from := ""
	if m.discovery != nil {
		from = m.discovery.search.issuer + " " + m.discovery.search.pinned
	}
	fresh := false
	first, err := connection.Once(ctx, m.registrar.set.Source(digest("seed", seed, from)),
		func(*record.Token) (bool, error) { return true, nil },
		func(ctx context.Context, _ *record.Token) (*record.Token, error) {
			o, err := handedOut(ctx, m, nil)
			if err != nil {
				return nil, err
			}
			fresh = true
			return &record.Token{Access: "seed", Obtained: time.Now(), Connected: time.Now(), Origin: o}, nil
		})
	if err != nil || fresh || m.discovery == nil {
		return originIn(first), err
	}
	now, err := handedOut(ctx, m, first.Origin)
	if err != nil {
		return nil, err
	}
	if now.Issuer != first.Origin.Issuer {
		return nil, discoveryFailed(&provider.DiscoveryError{
			Address: hostOf(now.Issuer), Option: "if the API has moved, get a refresh token there, or pin the issuer: issuer " + now.Issuer,
			Reason: "the API names the issuer " + now.Issuer + ", and refresh_token was for " + first.Origin.Issuer + ", so nothing was sent",
		})
	}
	return now, nil
}

func originIn(token *record.Token) *record.Origin {
	if token == nil {
		return nil
	}
	return token.Origin
}

// seedOf returns the option refresh_token as of now.
func seedOf(m *Method) (string, error) {
	to, err := m.resolve()
	if err != nil {
		return "", err
	}
	return to.RefreshToken, nil
}
