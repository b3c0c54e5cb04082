// SPDX-License-Identifier: Apache-2.0

// Package login is the auth method `login`, for APIs with a login of their own: the gateway signs
// in with one request, and a token, a cookie or both are in the answer. What comes of it is
// renewed, stored and shared among nodes as the tokens of OAuth 2.0 client credentials are, by
// package connection.
package login

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(Login)) }

// Login authenticates requests with what an API's own login answers: a token, or the cookie of a
// session. The gateway signs in when the first request needs it, once for all requests, and again
// before the session ends, or when the API refuses it. What the login answers is kept in Caddy's
// storage, sealed.
type Login struct {
	Options

	texts  *Options         // with their sealed values opened
	signer *signature.Token // of JWT
	tls    *tls.Config
	proxy  peer.ForwardProxy
	logger *zap.Logger

	// What Bind sets.
	environment connection.Environment
	client      *provider.Client
	set         *connection.Set

	used string // the identity as of the last Reread
}

const (
	label = "auth login" // what errors begin with

	// grant is what the status of a connection calls it.
	grant = "login"

	defaultTimeout = 10 * time.Second
)

// CaddyModule returns the Caddy module information.
func (*Login) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.login",
		New: func() caddy.Module { return new(Login) },
	}
}

// Provision implements caddy.Provisioner.
func (l *Login) Provision(ctx caddy.Context) error {
	l.logger = ctx.Logger()
	if err := l.Validate(); err != nil {
		return err
	}
	if l.Timeout == 0 {
		l.Timeout = caddy.Duration(defaultTimeout)
	}
	if err := l.readSelectors(); err != nil {
		return err
	}
	if err := l.unseal(ctx); err != nil {
		return err
	}
	if l.JWT != nil {
		signer, err := l.JWT.NewToken(ctx, label+": jwt")
		if err != nil {
			return err
		}
		if signer.PerRequest() {
			return errRequestClaim
		}
		l.signer = signer
	}
	if l.SelfSignedCert != "" {
		text, err := value.Unseal(ctx, label+": self_signed_cert", l.SelfSignedCert)
		if err != nil {
			return err
		}
		t, err := trust.Read(label+": self_signed_cert", text)
		if err != nil {
			return err
		}
		l.tls = t.Config()
	}
	in, err := l.request()
	if err != nil {
		return err
	}
	if u, err := url.Parse(in.URL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		l.logger.Warn("the login is http: the password and the token go in clear", zap.String("login_host", u.Host))
	}
	return nil
}

// unseal opens the sealed values.
func (l *Login) unseal(ctx caddy.Context) error {
	texts, err := l.copied()
	if err != nil {
		return err
	}
	l.texts = texts
	return l.texts.each(func(option, _, text string) (string, error) { return value.Unseal(ctx, option, text) })
}

// Bind gives the method what it works in. It is called once, after Provision.
func (l *Login) Bind(env connection.Environment) error {
	if env.Datasource == "" {
		return errNoName
	}
	in, err := l.request()
	if err != nil {
		return err
	}
	l.environment, l.used = env, l.identity(in)
	l.logger = l.logger.With(zap.String("datasource", env.Datasource))
	l.client = provider.New(l.tls, env.Dial)
	l.client.Transport.Proxy = l.proxy.Of
	l.set = connection.NewSet(connection.Config{
		Configuration: env.Configuration, Datasource: env.Datasource, Identity: l.used, Grant: grant,
		Storage: env.Storage, Keys: env.Keys, Spool: env.Spool, Term: l.term(), CacheSize: env.CacheSize,
		Timeout: time.Duration(l.Timeout), EndBy: env.EndBy,
		Build: l.build, Fetch: l.fetch, Attempt: l.attempt, Observer: env.Observer, LastRefusal: env.LastRefusal, Logger: l.logger,
	})
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (l *Login) Cleanup() error {
	if l.set != nil {
		l.set.Close()
		l.client.CloseIdleConnections()
	}
	return nil
}

// Connections returns the connections of the datasource: the one that all requests share.
func (l *Login) Connections() *connection.Set { return l.set }

// Datasource returns the name of the datasource.
func (l *Login) Datasource() string { return l.environment.Datasource }

// API returns the host of the API, as far as it is known.
func (l *Login) API() string { return l.environment.API }

// UseProxy has logins go through the forward proxy of the API's transport.
func (l *Login) UseProxy(proxy func(*http.Request) (*url.URL, error)) { l.proxy.Use(proxy) }

// Credential implements auth.Method.
func (l *Login) Credential(ctx context.Context) (*auth.Credential, error) {
	return l.set.Shared().Credential(ctx)
}

// Current implements auth.Method.
func (l *Login) Current() *auth.Credential { return l.set.Shared().Current() }

// Renewable implements auth.Method.
func (*Login) Renewable() bool { return true }

// Refresh implements auth.Method.
func (l *Login) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	return l.set.Shared().Refresh(ctx, refused)
}

// Confirm implements auth.Confirmer.
func (l *Login) Confirm(fresh *auth.Credential) { l.set.Shared().Confirm(fresh) }

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of logs.
func (*Login) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "login")
	return nil
}

// Interface guards
var (
	_ auth.Placed             = (*Login)(nil)
	_ auth.Confirmer          = (*Login)(nil)
	_ caddy.Provisioner       = (*Login)(nil)
	_ caddy.Validator         = (*Login)(nil)
	_ caddy.CleanerUpper      = (*Login)(nil)
	_ caddyfile.Unmarshaler   = (*Login)(nil)
	_ zapcore.ObjectMarshaler = (*Login)(nil)
)
