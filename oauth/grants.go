// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// grants are the grants by name, in the order in which errors name them. A grant whose tokens the
// gateway can get again at any time is a cache in the storage, and no more; those of
// authorization_code are the only ones that people have granted.
var grants = []string{grantClientCredentials, grantAuthorizationCode, grantJWTBearer, grantTokenExchange, grantPassword}

// nameless reports whether the client need not have a name, nor a secret: something else in the
// request says who asks.
func nameless(opts *Options) bool {
	if opts.ClientSecret != "" || opts.ClientAuth != "" && opts.ClientAuth != provider.ClientAuthNone {
		return false
	}
	return opts.Grant == grantJWTBearer || (opts.Grant == grantPassword || opts.Grant == grantTokenExchange) && opts.ClientID == ""
}

// clientAuthWay returns how the client authenticates.
func clientAuthWay(opts *Options) string {
	if nameless(opts) {
		return provider.ClientAuthNone
	}
	return opts.ClientAuth
}

// checkGrant checks the options that a grant needs, other than those of authorization_code.
func checkGrant(opts *Options) error {
	switch {
	case opts.second:
		return checkSecond(opts)
	case opts.Grant == grantJWTBearer:
		return checkJWTBearer(opts)
	case opts.Grant == grantTokenExchange:
		return checkTokenExchange(opts)
	case opts.Grant == grantPassword && (opts.Username == "" || opts.Password == ""):
		return errors.New("auth oauth2: the grant password needs username and password; best write {env.NAME} for the password")
	}
	return nil
}

// ask asks for a token.
func ask(ctx context.Context, m *Method, to *provider.Config) (*provider.Answer, error) {
	switch m.Grant {
	case grantTokenExchange:
		return nil, &provider.Error{Err: errPerCaller}
	case grantJWTBearer:
		return clientFor(m, to.Public.Token).JWTBearer(ctx, to)
	case grantPassword:
		return clientFor(m, to.Public.Token).Password(ctx, to)
	default:
		return clientFor(m, to.Public.Token).Credentials(ctx, to)
	}
}
