// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"

	"go.uber.org/zap"

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
	to, err := latestConfig(opts)
	if err != nil {
		return err
	}
	warn(opts, logger, to)
	opts.redirect, opts.issuer = to.RedirectURL, to.Issuer
	if opts.Connection != "" {
		if opts.connection, err = value.Parse("auth oauth2: connection", opts.Connection); err != nil {
			return err
		}
	}
	if opts.files.certificate, err = value.Unseal(ctx, certificateOption, opts.SelfSignedCert); err != nil {
		return err
	}
	if opts.files.used, err = readFiles(opts); err != nil {
		return err
	}
	if opts.tls, err = opts.newTLS(opts.files.used.trust); err != nil {
		return err
	}
	return opts.loadProxy(ctx)
}

// warn logs settings that are allowed but may be a mistake.
func warn(opts *Options, logger *zap.Logger, to *provider.Config) {
	if u, err := url.Parse(to.RedirectURL); err == nil && u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) {
		logger.Warn("redirect_url is http: authorization codes come in clear, and most providers refuse it", zap.String("redirect_url", to.RedirectURL))
	}
	if u, err := url.Parse(to.TokenURL); err == nil && u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) {
		logger.Warn("the token endpoint is http: the client's secret and the tokens go there in clear", zap.String("token_endpoint", u.Host))
	}
	if opts.Grant == grantPassword {
		logger.Warn("the grant password hands a user's password to the gateway, and breaks where the provider wants a second factor " +
			"(RFC 9700 §2.4 says not to use it); use client_credentials or authorization_code where the provider has them")
	}
	encoded := url.QueryEscape(to.ClientID) != to.ClientID || url.QueryEscape(to.ClientSecret) != to.ClientSecret
	if encoded && (opts.ClientAuth == "" || opts.ClientAuth == provider.ClientSecretBasic) {
		logger.Warn("client_id or client_secret has characters that client_secret_basic form-encodes (RFC 6749 §2.3.1); " +
			"a provider that does not decode them needs client_auth client_secret_basic_raw")
	}
}
