// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// The secret of a registered client may end (RFC 7591 §3.2.1, client_secret_expires_at). What
// people have granted was granted to the client and not to its secret. So the client is
// registered anew, and if the provider gives it the ID that it had, its grants go on with the new
// secret. With another ID they cannot: a refresh token is bound to its client (RFC 6749 §6).

// registeredFor returns the client that is registered in the place of the one that a grant was
// made with, or nil.
func (r *registrar) registeredFor(o *record.Origin, to *provider.Config) *record.Origin {
	token := r.source(o.Issuer, registeredWith(o, to)).Token()
	if token == nil || token.Origin == nil || token.Origin.ClientID != o.ClientID || token.Origin.Issuer != o.Issuer {
		return nil
	}
	return token.Origin
}

// registeredWith returns the configuration as it was for the registration of a client: a command
// has another redirect URL.
func registeredWith(o *record.Origin, to *provider.Config) *provider.Config {
	as := *to
	as.RedirectURL = cmp.Or(o.Redirect, to.RedirectURL)
	return &as
}

// latestSecret returns an origin with the secret that its client has now.
func latestSecret(m *Method, o *record.Origin, to *provider.Config) *record.Origin {
	if !o.Registered || m.registrar == nil || !ended(o, time.Now()) {
		return o
	}
	client := m.registrar.registeredFor(o, to)
	if client == nil {
		return o
	}
	return o.With(func(o *record.Origin) {
		o.ClientSecret, o.ClientAuth, o.SecretEnd = client.ClientSecret, client.ClientAuth, client.SecretEnd
	})
}

// prepare registers the client of a grant anew if its secret has ended. It is called before the
// refresh token is claimed, since that may take a while. While the provider is silent it returns
// an error, so that nothing is sent with a secret that has ended. If no client can be registered,
// the provider has the last word on the old one.
func prepare(ctx context.Context, m *Method, token *record.Token) error {
	o := token.Origin
	if o == nil || !o.Registered || m.discovery == nil || !ended(o, time.Now()) {
		return nil
	}
	to, err := configuration(m, nil)
	if err != nil {
		return err
	}
	f, err := m.discovery.get(ctx)
	if err == nil && f.server.Issuer == o.Issuer && f.server.RegistrationURL != "" {
		to = registeredWith(o, to)
		if err = f.fill(&m.Options, to); err == nil {
			_, err = m.registrar.registered(ctx, f, to)
		}
	}
	if fail, ok := errors.AsType[*provider.DiscoveryError](err); ok && fail.Temporary() {
		return discoveryFailed(err)
	}
	return nil
}
