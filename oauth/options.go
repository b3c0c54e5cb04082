// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/tls"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// Options are the options of `auth oauth2`, as a configuration has them. Placeholders are resolved
// when the configuration loads, and again for each request to the provider.
type Options struct {
	// How tokens are obtained: `client_credentials`; `authorization_code` for accounts that people
	// connect in a browser; `jwt_bearer` for an assertion; `token_exchange` for the caller's own
	// token; `password` for a user's name and password.
	Grant string `json:"grant,omitempty"`

	// The name of a provider whose endpoints, client authentication, scope separator and consent
	// parameters are known: `caddy authenticated-api providers` lists them. What is written out
	// wins.
	Provider string `json:"provider,omitempty"`

	// What some providers' addresses depend on: a tenant, or a host. Placeholders as in
	// `token_url`.
	ProviderTenant string `json:"provider_tenant,omitempty"`

	// The authorization endpoint, to which people are sent to give their consent; its own query is
	// kept. https, or http on a loopback address. Placeholders as in `token_url`.
	// `authorization_code` only, like all options up to `connection`. Optional with
	// `refresh_token`.
	AuthorizationURL string `json:"authorization_url,omitempty"`

	// The endpoint for refresh requests, where that is not `token_url`. Placeholders as in
	// `token_url`. Default: `token_url`.
	RefreshURL string `json:"refresh_url,omitempty"`

	// Where the provider sends people back to, as it is registered there: the public URL of the
	// console's route and `/callback`, such as `https://gateway.example.com/connect/callback`.
	// Placeholders as in `token_url`.
	RedirectURL string `json:"redirect_url,omitempty"`

	// The provider's issuer identifier. If it is set, the provider must name it when it sends
	// people back (RFC 9207). With `discover` it pins the issuer that metadata must have, and the
	// metadata says whether the provider names it. Default: it is not checked.
	Issuer string `json:"issuer,omitempty"`

	// The revocation endpoint (RFC 7009), which is called when an account is disconnected.
	// Default: the tokens are only forgotten.
	RevocationURL string `json:"revocation_url,omitempty"`

	// A refresh token that the provider has handed out in its own pages, for the connection that
	// all requests share. It is used when nothing is stored, and again when it is another one.
	// With it, `authorization_url` and `redirect_url` are optional. Placeholders as in
	// `token_url`.
	RefreshToken string `json:"refresh_token,omitempty"`

	// How the client authenticates when it refreshes a token, where that differs. Default: as
	// `client_auth`.
	RefreshClientAuth string `json:"refresh_client_auth,omitempty"`

	// As `client_auth_options`, for `refresh_client_auth`.
	RefreshClientAuthOptions *ClientAuthOptions `json:"refresh_client_auth_options,omitempty"`

	// Whether `scope` is sent with refresh requests. Default: `false`.
	SendScopeOnRefresh bool `json:"send_scope_on_refresh,omitempty"`

	// Further parameters of the authorization request. They override the parameters of this
	// module. Values may hold global placeholders.
	AuthorizationParams map[string]string `json:"authorization_param,omitempty"`

	// Proof key for code exchange (RFC 7636): `S256`, `plain` or `off`. Default: `S256`.
	PKCE string `json:"pkce,omitempty"`

	// A placeholder of the request, such as `{http.auth.user.id}`: each value of it has a
	// connection of its own. A request for which it has no value is refused. Default: there is
	// one connection, which all requests share.
	Connection string `json:"connection,omitempty"`

	// Allow a `connection` that clients choose themselves: a header field, a query parameter or a
	// cookie.
	ConnectionTrusted bool `json:"connection_trusted,omitempty"`

	// Whose metadata says what is not written out: endpoints, issuer, scopes, resource, how the
	// client authenticates, and whether it can be registered. The provider's issuer identifier
	// (RFC 8414, OpenID Connect Discovery), or empty to begin at the API (RFC 9728). Nothing is
	// fetched before it is needed. Placeholders as in `token_url`. Default: nothing is discovered.
	Discover *string `json:"discover,omitempty"`

	// How registrations call this gateway. Another name is registered anew.
	// Default: `Caddy at <host of redirect_url>`.
	ClientName string `json:"client_name,omitempty"`

	// How the client is registered if `client_id` is not given, in order: `metadata_document` (a
	// Client ID Metadata Document, which the console serves) and `dynamic` (RFC 7591). With
	// `discover` only. Default: both, in that order.
	Registration []string `json:"registration,omitempty"`

	// The token endpoint: https, or http on a loopback address. Global placeholders such as
	// `{env.NAME}` are resolved when the configuration loads and again for each token request.
	TokenURL string `json:"token_url,omitempty"`

	// Allow an http token endpoint that is not on a loopback address. The client's secret and the
	// tokens are then sent in clear.
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

	// The resources to ask for a token for, RFC 8707. Default: none; with `discover` alone, what
	// the API calls itself.
	Resource []string `json:"resource,omitempty"`

	// Whether no resource is asked for, whatever the API calls itself. Microsoft's v2.0 endpoints
	// are not asked for one in any case. Default: `false`.
	ResourceOff bool `json:"resource_off,omitempty"`

	// Whether tokens are bound to a key of the connection, which each request proves to have (RFC
	// 9449). With `discover` alone they are also where the API demands it. Default: `false`.
	DPoP bool `json:"dpop,omitempty"`

	// Further parameters of token requests. `grant_type`, `scope` and `client_id` take the place of
	// this module's own; a refresh keeps its `grant_type`. Values may hold global placeholders.
	TokenParams map[string]string `json:"token_param,omitempty"`

	// Further header fields of token requests, in the place of this module's own too. Values may
	// hold global placeholders.
	TokenHeader map[string]string `json:"token_header,omitempty"`

	// Where an answer of the token endpoint has what it brings. Default: where RFC 6749 says.
	Answer *AnswerPaths `json:"answer,omitempty"`

	// A placeholder of the request that has the caller's token, for the grant `token_exchange`
	// (RFC 8693), such as `{http.request.header.Authorization}`. `Bearer` in front is left out. The
	// API never gets it.
	SubjectToken string `json:"subject_token,omitempty"`

	// The type of `subject_token`: a URI, or `access_token`, `refresh_token`, `id_token`, `saml1`,
	// `saml2`, `jwt` or `id-jag`. Default: `access_token`; with `then`, `id_token`.
	SubjectTokenType string `json:"subject_token_type,omitempty"`

	// The type of the token to ask for, as in `subject_token_type`. Default: the provider's; with
	// `then`, `id-jag`.
	RequestedTokenType string `json:"requested_token_type,omitempty"`

	// The token of who acts for the caller: a placeholder of the request, or the gateway's own as
	// in `token_url`.
	ActorToken string `json:"actor_token,omitempty"`

	// The type of `actor_token`, as in `subject_token_type`. Default: `access_token`.
	ActorTokenType string `json:"actor_token_type,omitempty"`

	// Exchange the caller's token as Microsoft Entra ID has it, in place of RFC 8693.
	OnBehalfOf bool `json:"on_behalf_of,omitempty"`

	// The second leg of an exchange: the client at another provider, which takes as an assertion
	// (`jwt_bearer`) what the first one has issued.
	Then *Options `json:"then,omitempty"`

	// What the assertion of the grant `jwt_bearer` is made of (RFC 7523 §2.1).
	Assertion *AssertionOptions `json:"assertion,omitempty"`

	// The path of a file with the assertion, in place of `assertion`, which is read for each
	// request to the provider. Placeholders as in `token_url`.
	AssertionFile string `json:"assertion_file,omitempty"`

	// The key file of a Google service account: its path, or its text. It has the key, the issuer
	// and the token endpoint of the assertion, so that `token_url` is optional; what is written
	// out wins. Placeholders as in `token_url`.
	ServiceAccount string `json:"service_account,omitempty"`

	// The name of the user whose password the grant `password` sends. Placeholders as in
	// `token_url`.
	Username string `json:"username,omitempty"`

	// The password of the grant `password`. Placeholders as in `token_url`.
	Password string `json:"password,omitempty"`

	// How long a token is used, counted from when it came; this overrides what the provider says.
	// Default: what the provider says, and if it says nothing, until the API refuses the token.
	ExpiresIn caddy.Duration `json:"expires_in,omitempty"`

	// How long before its end a token is renewed, in the background; 0 renews it when it has
	// ended, for providers that refuse to renew a valid token. More than half of a token's
	// lifetime counts as half. Default: a tenth of the lifetime and a minute at least, or a
	// fifth where it is shorter than ten minutes.
	RefreshBefore *caddy.Duration `json:"refresh_before,omitempty"`

	// Where the token goes. Default: the header field `Authorization`.
	AddTokenTo *Place `json:"add_token_to,omitempty"`

	// What stands before the token in a header field, with a blank between them; empty: the token
	// alone. Default: `Bearer`.
	HeaderPrefix *string `json:"header_prefix,omitempty"`

	// Which token is sent: `access_token` or `id_token`. Default: `access_token`.
	TokenField string `json:"token_field,omitempty"`

	// Certificates to trust for the token endpoint, in place of the system's: the path of a PEM
	// file, or its text. A PEM that also holds a private key is presented as client
	// certificate too. Default: the system's roots.
	SelfSignedCert string `json:"self_signed_cert,omitempty"`

	// The forward proxy of token requests, code exchange and revocation: a module of
	// `caddy.network_proxy`, as in the transport `http` of `reverse_proxy`. `none` for no proxy.
	// Default: the proxy of the datasource's transport, if that is a transport of this module;
	// otherwise what the environment says (`HTTPS_PROXY`, `NO_PROXY`).
	NetworkProxyRaw json.RawMessage `json:"network_proxy,omitempty" caddy:"namespace=caddy.network_proxy inline_key=from"`

	// How long one token request may take. Default: `10s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What loading the configuration has made of the options; see provision.
	texts        provider.Config // the options with their sealed values opened, not resolved yet
	clientAuth   [2]clientAuth   // of ClientAuth and RefreshClientAuth
	separator    string          // between scopes; "" for a blank
	second       bool            // these are the options of a second leg
	callers      callers         // of SubjectToken and ActorToken
	discoverText string          // Discover with its sealed value opened
	api          *url.URL        // the base URL of the API, if discover begins there; see Bind
	assertion    assertionKey    // of Assertion, AssertionFile and ServiceAccount
	connection   *value.Template // of Connection; nil: all requests share a connection
	redirect     string          // RedirectURL, resolved
	issuer       string          // Issuer, resolved
	tls          *tls.Config     // of SelfSignedCert and tls_client_auth
	proxy        networkProxy
	files        files
}

// Place is where a token goes: one of its fields is set.
type Place struct {
	// The name of a header field.
	Header string `json:"header,omitempty"`

	// The name of a query parameter.
	Query string `json:"query,omitempty"`
}

const (
	grantClientCredentials = "client_credentials" // a value of the option grant
	grantAuthorizationCode = "authorization_code" // a value of the option grant
	grantJWTBearer         = "jwt_bearer"         // a value of the option grant
	grantTokenExchange     = "token_exchange"     // a value of the option grant
	grantPassword          = "password"           // a value of the option grant

	tokenRequestJSON = "json"  // a value of the option token_request
	pkcePlain        = "plain" // a value of the option pkce
	pkceOff          = "off"   // a value of the option pkce

	fieldAccessToken = "access_token" // a value of the option token_field
	fieldIDToken     = "id_token"     // a value of the option token_field

	defaultTimeout = 10 * time.Second
)

// Interactive reports whether people connect accounts in a browser: the grant authorization_code.
func (opts *Options) Interactive() bool { return opts.Grant == grantAuthorizationCode }

// Connectable reports whether people can connect accounts in a browser. They cannot where a
// refresh token is all that there is.
func (opts *Options) Connectable() bool { return opts.Interactive() && opts.redirect != "" }

// Console returns the public address of the console, with a slash at its end: the part of
// redirect_url before "callback". It is empty unless the method is interactive.
func (opts *Options) Console() string { return strings.TrimSuffix(opts.redirect, "callback") }

// Redirect returns the redirect URL to register at the provider, resolved.
func (opts *Options) Redirect() string { return opts.redirect }

// IssuedBy returns the issuer that a callback must name (RFC 9207), or "".
func (opts *Options) IssuedBy() string { return opts.issuer }

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps secrets out of logs.
func (opts *Options) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "oauth2")
	enc.AddString("grant", opts.Grant)
	return nil
}
