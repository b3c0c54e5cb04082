// SPDX-License-Identifier: Apache-2.0

// Package oauth obtains, keeps and renews OAuth 2.0 tokens: the grants, the source that requests get
// their credential from, and the records in storage. Package provider, below, makes the requests to
// the provider.
//
// It knows nothing of Caddy's HTTP modules.
package oauth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(Method)) }

// Method authenticates requests with an OAuth 2.0 access token, RFC 6749: it is fetched when it is
// first needed, renewed in the background before it expires, kept in Caddy's storage, sealed, and
// renewed once more when the API refuses it.
type Method struct {
	// How tokens are obtained: `client_credentials`, or `authorization_code` for accounts that
	// people connect in a browser.
	Grant string `json:"grant,omitempty"`

	// The authorization endpoint, to which people are sent to give their consent; its own query is
	// kept. https, or http on a loopback address. Placeholders as in `token_url`.
	// `authorization_code` only, as all that follows up to `connection`.
	AuthorizationURL string `json:"authorization_url,omitempty"`

	// Where the provider sends people back to, as it is registered there: the public URL of the
	// console's route and `/callback`, such as `https://gateway.example.com/connect/callback`.
	// Placeholders as in `token_url`.
	RedirectURL string `json:"redirect_url,omitempty"`

	// The provider's issuer identifier. When it is set, the provider must name it when it sends
	// people back (RFC 9207). Default: it is not looked at.
	Issuer string `json:"issuer,omitempty"`

	// The revocation endpoint (RFC 7009), which is called when an account is disconnected.
	// Default: the tokens are only forgotten.
	RevocationURL string `json:"revocation_url,omitempty"`

	// How the client authenticates when it refreshes a token, where that differs. Default: as
	// `client_auth`.
	RefreshClientAuth string `json:"refresh_client_auth,omitempty"`

	// As `client_auth_options`, for `refresh_client_auth`.
	RefreshClientAuthOptions *ClientAuthOptions `json:"refresh_client_auth_options,omitempty"`

	// Whether `scope` is sent with refresh requests. Default: `false`.
	SendScopeOnRefresh bool `json:"send_scope_on_refresh,omitempty"`

	// Further parameters of the authorization request. They override those of this module. Values
	// may hold global placeholders.
	AuthorizationParams map[string]string `json:"authorization_param,omitempty"`

	// Proof key for code exchange (RFC 7636): `S256` or `off`. Default: `S256`.
	PKCE string `json:"pkce,omitempty"`

	// A placeholder of the request, such as `{http.auth.user.id}`: there is a connection of its
	// own for each value of it. A request for which it has no value is refused. Default: there is
	// one connection, which all requests share.
	Connection string `json:"connection,omitempty"`

	// Allow a `connection` that clients choose themselves: a header field, a query parameter or a
	// cookie.
	ConnectionTrusted bool `json:"connection_trusted,omitempty"`

	// The token endpoint: https, or http on a loopback address. Global placeholders such as
	// `{env.NAME}` are resolved when the configuration loads and again for each token request.
	TokenURL string `json:"token_url,omitempty"`

	// Allow an http token endpoint that is not on a loopback address. The client's secret and the
	// tokens are sent in clear then.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	// The client's identifier. Placeholders as in `token_url`.
	ClientID string `json:"client_id,omitempty"`

	// The client's secret. Placeholders as in `token_url`.
	ClientSecret string `json:"client_secret,omitempty"`

	// How the client authenticates: `client_secret_basic` (RFC 6749 §2.3.1: id and secret are
	// form-encoded first), `client_secret_basic_raw` (they are not), `client_secret_post`,
	// `client_secret_jwt` or `private_key_jwt` (RFC 7523 §2.2: a signed assertion),
	// `tls_client_auth` (RFC 8705), `assertion_file` (an assertion that a platform has made) or
	// `none`. Default: `client_secret_basic`.
	ClientAuth string `json:"client_auth,omitempty"`

	// What `client_auth` needs beside the client's identifier and secret.
	ClientAuthOptions *ClientAuthOptions `json:"client_auth_options,omitempty"`

	// How token requests are encoded: `form` or `json`. Default: `form`.
	TokenRequest string `json:"token_request,omitempty"`

	// The scopes to ask for. Placeholders as in `token_url`. Default: the provider's.
	Scopes []string `json:"scopes,omitempty"`

	// The audience to ask for a token for, as Auth0 wants it. Default: none.
	Audience string `json:"audience,omitempty"`

	// The resources to ask for a token for, RFC 8707. Default: none.
	Resource []string `json:"resource,omitempty"`

	// Further parameters of token requests. Values may hold global placeholders.
	TokenParams map[string]string `json:"token_param,omitempty"`

	// How long a token is used, counted from when it came; this overrides what the provider says.
	// Default: what the provider says, and if it says nothing, until the API refuses the token.
	ExpiresIn caddy.Duration `json:"expires_in,omitempty"`

	// How long before its end a token is renewed, in the background; 0 renews it when it has
	// ended, for providers that refuse to renew a valid one. More than half of a token's lifetime
	// counts as half. Default: a tenth of the lifetime and a minute at least, or a fifth where it
	// is shorter than ten minutes.
	RefreshBefore *caddy.Duration `json:"refresh_before,omitempty"`

	// Where the token goes. Default: the header field `Authorization`.
	AddTokenTo *Place `json:"add_token_to,omitempty"`

	// What stands before the token in a header field, with a blank between them; empty: the token
	// alone. Default: `Bearer`.
	HeaderPrefix *string `json:"header_prefix,omitempty"`

	// Which token is sent: `access_token` or `id_token`. Default: `access_token`.
	TokenField string `json:"token_field,omitempty"`

	// Certificates to trust for the token endpoint, in the place of the system's: the path of a
	// PEM file, or the text of one. A PEM that also holds a private key is presented as client
	// certificate too. Default: the system's roots.
	SelfSignedCert string `json:"self_signed_cert,omitempty"`

	// The forward proxy of token requests, code exchange and revocation: a module of
	// `caddy.network_proxy`, as in the transport `http` of `reverse_proxy`. `none` for no proxy.
	// Default: that of the transport below the proxy of this datasource; without one of this
	// module what the environment says (`HTTPS_PROXY`, `NO_PROXY`).
	NetworkProxyRaw json.RawMessage `json:"network_proxy,omitempty" caddy:"namespace=caddy.network_proxy inline_key=from"`

	// How long one token request may take. Default: `10s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	texts      provider.Config // the options with the sealed values opened, and not resolved yet
	clientAuth [2]clientAuth   // of client_auth and refresh_client_auth
	connection *value.Template // nil: the connection is shared
	redirect   string
	issuer     string
	tls        *tls.Config
	proxy      networkProxy
	logger     *zap.Logger

	// What Bind sets.
	environment Environment
	bound       string // the identity of what tokens are issued for
	client      *provider.Client
	set         *connection.Set
}

// Place is where a token goes: one of its fields is set.
type Place struct {
	// The name of a header field.
	Header string `json:"header,omitempty"`

	// The name of a query parameter.
	Query string `json:"query,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Method) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.oauth2",
		New: func() caddy.Module { return new(Method) },
	}
}

const (
	grantClientCredentials = "client_credentials"
	grantAuthorizationCode = "authorization_code"

	tokenRequestJSON = "json" // a value of the option token_request
	pkceOff          = "off"  // a value of the option pkce

	defaultTimeout = 10 * time.Second
)

// Provision implements caddy.Provisioner.
func (m *Method) Provision(ctx caddy.Context) error {
	m.logger = ctx.Logger()
	if err := m.Validate(); err != nil {
		return err
	}
	if m.Timeout == 0 {
		m.Timeout = caddy.Duration(defaultTimeout)
	}
	if err := m.unseal(ctx); err != nil {
		return err
	}
	to, err := m.resolve()
	if err != nil {
		return err
	}
	m.warn(to)
	m.redirect, m.issuer = to.RedirectURL, to.Issuer
	if m.Connection != "" {
		if m.connection, err = value.Parse("auth oauth2: connection", m.Connection); err != nil {
			return err
		}
	}
	if m.SelfSignedCert != "" {
		t, err := trust.Load(ctx, "auth oauth2: self_signed_cert", m.SelfSignedCert)
		if err != nil {
			return err
		}
		m.tls = t.Config()
	}
	if err := m.presentCertificate(); err != nil {
		return err
	}
	return m.loadProxy(ctx)
}

// warn says what is allowed and yet may be a mistake.
func (m *Method) warn(to *provider.Config) {
	if u, err := url.Parse(to.RedirectURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		m.logger.Warn("redirect_url is http: authorization codes come in clear, and most providers refuse it", zap.String("redirect_url", to.RedirectURL))
	}
	if u, err := url.Parse(to.TokenURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		m.logger.Warn("the token endpoint is http: the client's secret and the tokens go there in clear", zap.String("token_endpoint", u.Host))
	}
	encoded := url.QueryEscape(to.ClientID) != to.ClientID || url.QueryEscape(to.ClientSecret) != to.ClientSecret
	if encoded && (m.ClientAuth == "" || m.ClientAuth == provider.ClientSecretBasic) {
		m.logger.Warn("client_id or client_secret has characters that client_secret_basic form-encodes (RFC 6749 §2.3.1); " +
			"a provider that does not decode them needs client_auth client_secret_basic_raw")
	}
}

// build makes the credential of a token.
func (m *Method) build(token *record.Token) *auth.Credential {
	val := token.Access
	if m.TokenField == fieldIDToken {
		val = token.ID
	}
	place := m.Placement()
	prefix := "Bearer"
	if m.HeaderPrefix != nil {
		prefix = *m.HeaderPrefix
	}
	if place.Header != "" && prefix != "" {
		return auth.NewCredential(place, prefix+" "+val, val)
	}
	return auth.NewCredential(place, val)
}

// Placement implements auth.Method.
func (m *Method) Placement() auth.Placement {
	switch {
	case m.AddTokenTo == nil:
		return auth.Placement{Header: "Authorization"}
	case m.AddTokenTo.Query != "":
		return auth.Placement{Query: m.AddTokenTo.Query}
	default:
		return auth.Placement{Header: http.CanonicalHeaderKey(m.AddTokenTo.Header)}
	}
}

// Credential implements auth.Method.
func (m *Method) Credential(ctx context.Context) (*auth.Credential, error) {
	if m.PerUser() {
		// Nobody shares a connection that is one user's own.
		return nil, &record.AuthorizationError{Reason: record.ReasonNotConnected}
	}
	return m.set.Shared().Credential(ctx)
}

// Current implements auth.Method.
func (m *Method) Current() *auth.Credential {
	if m.PerUser() {
		return nil
	}
	return m.set.Shared().Current()
}

// Renewable implements auth.Method.
func (*Method) Renewable() bool { return true }

// Refresh implements auth.Method.
func (m *Method) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	return m.set.Shared().Refresh(ctx, refused)
}

// SourceFor implements auth.PerRequest.
func (m *Method) SourceFor(repl *caddy.Replacer) (source auth.Source, ok bool) {
	if !m.PerUser() {
		return m, true
	}
	key, ok := m.Key(repl)
	if !ok {
		return nil, false
	}
	return m.Source(key), true
}

// Confirm implements auth.Confirmer.
func (m *Method) Confirm(fresh *auth.Credential) { m.set.Shared().Confirm(fresh) }

// Cleanup implements caddy.CleanerUpper.
func (m *Method) Cleanup() error {
	if m.set != nil {
		m.set.Close()
		m.client.CloseIdleConnections()
	}
	return nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of logs.
func (m *Method) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "oauth2")
	enc.AddString("grant", m.Grant)
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Interface guards
var (
	_ auth.PerRequest         = (*Method)(nil)
	_ caddy.Provisioner       = (*Method)(nil)
	_ caddy.Validator         = (*Method)(nil)
	_ caddy.CleanerUpper      = (*Method)(nil)
	_ zapcore.ObjectMarshaler = (*Method)(nil)
)
