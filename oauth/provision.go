// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// provision checks the options, opens their sealed values, and loads what they name.
func (opts *Options) provision(ctx caddy.Context, logger *zap.Logger) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	if opts.Timeout == 0 {
		opts.Timeout = caddy.Duration(defaultTimeout)
	}
	if err := opts.unseal(ctx); err != nil {
		return err
	}
	to, err := opts.resolve()
	if err != nil {
		return err
	}
	opts.warn(logger, to)
	opts.redirect, opts.issuer = to.RedirectURL, to.Issuer
	if opts.Connection != "" {
		if opts.connection, err = value.Parse("auth oauth2: connection", opts.Connection); err != nil {
			return err
		}
	}
	if opts.SelfSignedCert != "" {
		t, err := trust.Load(ctx, "auth oauth2: self_signed_cert", opts.SelfSignedCert)
		if err != nil {
			return err
		}
		opts.tls = t.Config()
	}
	if err := opts.presentCertificate(); err != nil {
		return err
	}
	return opts.loadProxy(ctx)
}

// warn logs settings that are allowed but may be a mistake.
func (opts *Options) warn(logger *zap.Logger, to *provider.Config) {
	if u, err := url.Parse(to.RedirectURL); err == nil && u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) {
		logger.Warn("redirect_url is http: authorization codes come in clear, and most providers refuse it", zap.String("redirect_url", to.RedirectURL))
	}
	if u, err := url.Parse(to.TokenURL); err == nil && u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) {
		logger.Warn("the token endpoint is http: the client's secret and the tokens go there in clear", zap.String("token_endpoint", u.Host))
	}
	encoded := url.QueryEscape(to.ClientID) != to.ClientID || url.QueryEscape(to.ClientSecret) != to.ClientSecret
	if encoded && (opts.ClientAuth == "" || opts.ClientAuth == provider.ClientSecretBasic) {
		logger.Warn("client_id or client_secret has characters that client_secret_basic form-encodes (RFC 6749 §2.3.1); " +
			"a provider that does not decode them needs client_auth client_secret_basic_raw")
	}
}
