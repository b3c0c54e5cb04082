// SPDX-License-Identifier: Apache-2.0

// Package oauth obtains, keeps and renews OAuth 2.0 tokens: the grants, client authentication, what token endpoints answer,
// the source that requests get their credential from, and the records in storage.
//
// It knows nothing of Caddy's HTTP modules.
package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(Method)) }

// Method authenticates requests with an OAuth 2.0 access token, RFC 6749: it is fetched when it is first needed, renewed in the
// background before it expires, kept in Caddy's storage, sealed, and renewed once more when the API refuses it.
type Method struct {
	// How tokens are obtained: `client_credentials`.
	Grant string `json:"grant,omitempty"`

	// The token endpoint: https, or http on a loopback address. Global placeholders such as `{env.NAME}` are resolved when
	// the configuration loads and again for each token request.
	TokenURL string `json:"token_url,omitempty"`

	// Allow an http token endpoint that is not on a loopback address. The client's secret and the tokens are sent in clear
	// then.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	// The client's identifier. Placeholders as in `token_url`.
	ClientID string `json:"client_id,omitempty"`

	// The client's secret. Placeholders as in `token_url`.
	ClientSecret string `json:"client_secret,omitempty"`

	// How the client authenticates: `client_secret_basic` (RFC 6749 §2.3.1: id and secret are form-encoded first),
	// `client_secret_basic_raw` (they are not), `client_secret_post` or `none`. Default: `client_secret_basic`.
	ClientAuth string `json:"client_auth,omitempty"`

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

	// How long a token is used, counted from when it came; this overrides what the provider says. Default: what the provider
	// says, and if it says nothing, until the API refuses the token.
	ExpiresIn caddy.Duration `json:"expires_in,omitempty"`

	// Where the token goes. Default: the header field `Authorization`.
	AddTokenTo *Place `json:"add_token_to,omitempty"`

	// What stands before the token in a header field, with a blank between them; empty: the token alone. Default: `Bearer`.
	HeaderPrefix *string `json:"header_prefix,omitempty"`

	// Which token is sent: `access_token` or `id_token`. Default: `access_token`.
	TokenField string `json:"token_field,omitempty"`

	// Certificates to trust for the token endpoint, in the place of the system's: the path of a PEM file, or the text of one.
	// A PEM that also holds a private key is presented as client certificate too. Default: the system's roots.
	SelfSignedCert string `json:"self_signed_cert,omitempty"`

	// How long one token request may take. Default: `10s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	plain   plainTexts
	tls     *tls.Config
	logger  *zap.Logger
	source  *Source
	release func()
}

// Place is where a token goes: one of its fields is set.
type Place struct {
	// The name of a header field.
	Header string `json:"header,omitempty"`

	// The name of a query parameter.
	Query string `json:"query,omitempty"`
}

// plainTexts are the values of a Method with the sealed ones opened, and not resolved yet.
type plainTexts struct {
	tokenURL, clientID, clientSecret, audience string
	scopes, resource                           []string
	params                                     map[string]string
}

// Environment is what a Method works in.
type Environment struct {
	// Datasource is the name of the datasource.
	Datasource string

	// Storage is where records are kept.
	Storage certmagic.Storage

	// Keys returns the key ring, and makes a key if there is none.
	Keys func() (*seal.Ring, error)

	// Allowed reports why an address must not be dialled.
	Allowed func(netip.AddrPort) error
}

// states are the states of all connections. What is in them outlives a reload.
var states = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (*Method) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.oauth2",
		New: func() caddy.Module { return new(Method) },
	}
}

const (
	authBasic    = "client_secret_basic"
	authBasicRaw = "client_secret_basic_raw"
	authPost     = "client_secret_post"
	authNone     = "none"

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
	m.plain = plainTexts{m.TokenURL, m.ClientID, m.ClientSecret, m.Audience, slices.Clone(m.Scopes), slices.Clone(m.Resource), maps.Clone(m.TokenParams)}
	texts := []*string{&m.plain.tokenURL, &m.plain.clientID, &m.plain.clientSecret, &m.plain.audience}
	for i := range m.plain.scopes {
		texts = append(texts, &m.plain.scopes[i])
	}
	for i := range m.plain.resource {
		texts = append(texts, &m.plain.resource[i])
	}
	if err := value.UnsealAll(ctx, "auth oauth2", texts...); err != nil {
		return err
	}
	for name, text := range m.plain.params {
		plain, err := value.Unseal(ctx, "auth oauth2: token_param "+name, text)
		if err != nil {
			return err
		}
		m.plain.params[name] = plain
	}
	req, err := m.resolve()
	if err != nil {
		return err
	}
	m.warn(req)
	if m.SelfSignedCert != "" {
		t, err := trust.Load(ctx, "auth oauth2: self_signed_cert", m.SelfSignedCert)
		if err != nil {
			return err
		}
		m.tls = t.Config()
	}
	return nil
}

// warn says what is allowed and yet may be a mistake.
func (m *Method) warn(req *tokenRequest) {
	if u, err := url.Parse(req.tokenURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		m.logger.Warn("the token endpoint is http: the client's secret and the tokens go there in clear", zap.String("token_endpoint", u.Host))
	}
	encoded := url.QueryEscape(req.id) != req.id || url.QueryEscape(req.secret) != req.secret
	if encoded && (m.ClientAuth == "" || m.ClientAuth == authBasic) {
		m.logger.Warn("client_id or client_secret has characters that client_secret_basic form-encodes (RFC 6749 §2.3.1); " +
			"a provider that does not decode them needs client_auth client_secret_basic_raw")
	}
}

// Bind gives the method what it works in. It is called once, after Provision.
func (m *Method) Bind(env Environment) error {
	if env.Datasource == "" {
		return errors.New("name: an OAuth datasource without a base URL needs one; it names the stored token")
	}
	req, err := m.resolve()
	if err != nil {
		return err
	}
	identity := m.identity(req)
	key := env.Datasource + "\x00" + identity
	state, _ := states.LoadOrStore(key, new(State))
	client := newClient(m.tls, func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return env.Allowed(addr)
	})
	m.release = func() {
		_, _ = states.Delete(key)
		client.CloseIdleConnections()
	}
	logger := m.logger.With(zap.String("datasource", env.Datasource))
	m.source = &Source{
		state: state.(*State),
		fetch: func(ctx context.Context) (*Token, error) { return m.fetch(ctx, client) },
		store: &store{
			storage: env.Storage, ring: env.Keys, datasource: env.Datasource, identity: identity,
			override: time.Duration(m.ExpiresIn), logger: logger,
		},
		build:  m.build,
		life:   time.Duration(m.Timeout) + 2*storageTimeout,
		logger: logger,
	}
	m.source.state.clearFailures()
	return nil
}

// Reseal has what is stored sealed with the first key of the ring, in the background, unless ctx ends very soon.
func (m *Method) Reseal(ctx context.Context) { go m.source.reseal(ctx) }

// identity is of what tokens are issued for. The secret is not part of it: a rotated secret must not drop a valid token.
func (m *Method) identity(req *tokenRequest) string {
	h := sha256.New()
	field := m.TokenField // an answer that was good without an id_token has none to send
	if field == "" {
		field = "access_token"
	}
	parts := slices.Concat(
		[]string{m.Grant, req.tokenURL, req.id, req.audience, strings.Join(req.scopes, " "), field, strconv.Itoa(len(req.resource))},
		req.resource)
	for _, name := range slices.Sorted(maps.Keys(req.params)) {
		parts = append(parts, name, req.params[name])
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// build makes the credential of a token.
func (m *Method) build(token *Token) *auth.Credential {
	val := token.access
	if m.TokenField == "id_token" {
		val = token.id
	}
	place := m.Placement()
	prefix := "Bearer"
	if m.HeaderPrefix != nil {
		prefix = *m.HeaderPrefix
	}
	if place.Header != "" && prefix != "" {
		val = prefix + " " + val
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
	return m.source.Credential(ctx)
}

// Current implements auth.Method.
func (m *Method) Current() *auth.Credential { return m.source.Current() }

// Renewable implements auth.Method.
func (*Method) Renewable() bool { return true }

// Refresh implements auth.Method.
func (m *Method) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	return m.source.Refresh(ctx, refused)
}

// Cleanup implements caddy.CleanerUpper.
func (m *Method) Cleanup() error {
	if m.release != nil {
		m.release()
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
	_ auth.Method             = (*Method)(nil)
	_ caddy.Provisioner       = (*Method)(nil)
	_ caddy.Validator         = (*Method)(nil)
	_ caddy.CleanerUpper      = (*Method)(nil)
	_ zapcore.ObjectMarshaler = (*Method)(nil)
)
