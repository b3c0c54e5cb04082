// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// apiOf returns the base URL, "" if only the proxy behind the handler knows where the API is.
func apiOf(ds *datasource) string {
	if ds.base == nil {
		return ""
	}
	return ds.base.Origin() + ds.base.WrittenPath()
}

// oauthOf returns the method of an account, nil if it is none of OAuth's.
func oauthOf(c *account) *oauth.Method {
	m, _ := c.method.(*oauth.Method)
	return m
}

// discovered returns why there is no credential for a request: a person who is told to connect an
// account could not do so while the provider cannot be discovered.
func (c *account) discovered(ctx context.Context, err error) error {
	m := oauthOf(c)
	if _, person := errors.AsType[*record.AuthorizationError](err); !person || m == nil {
		return err
	}
	if fail, ok := errors.AsType[*provider.DiscoveryError](oauth.Discovered(ctx, m)); ok {
		return fail
	}
	return err
}

// doubt notes that the API has refused a token, which may be because it has another provider now.
func (c *account) doubt() {
	if m := oauthOf(c); m != nil {
		oauth.Doubt(m)
	}
}

// trust has the API's metadata fetched from servers that the datasource's transport trusts, with
// the certificate that it presents.
func (c *account) trust(config *tls.Config) {
	if m := oauthOf(c); m != nil {
		oauth.TrustAPI(m, config)
	}
}
