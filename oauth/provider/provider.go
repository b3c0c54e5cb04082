// SPDX-License-Identifier: Apache-2.0

// Package provider makes one request to an endpoint of an OAuth 2.0 provider and says what came of
// it: token requests (RFC 6749), revocation (RFC 7009) and the URL of an authorization request.
//
// It authenticates the client, bounds and reads the answer, and describes failures without showing
// a secret. A request is made once: whether it is made again is for the caller to decide, who
// learns from Error.Delivery whether the provider may have dealt with it.
//
// The package does not know Caddy, a storage, a connection or a claim. Its callers resolve all
// placeholders before they hand over a Config.
package provider

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"
)

// Config is a client and its provider, as one request needs them. All values are resolved.
type Config struct {
	AuthorizationURL string
	TokenURL         string
	RefreshURL       string // of refresh requests; "" stands for TokenURL
	RevocationURL    string // "" if the provider has none
	RedirectURL      string
	PARURL           string // of pushed authorization requests (RFC 9126), "" to push none
	Issuer           string // that a callback must name (RFC 9207), "" if it need not name one

	ClientName        string // how registrations call the client, "" for the default
	ClientID          string
	ClientSecret      string // "" for a client without a secret
	ClientAuth        string // a name of ClientAuths; "" stands for client_secret_basic
	RefreshClientAuth string // the same for refresh requests; "" stands for ClientAuth

	Assertion        *Assertion // what ClientAuth needs beside the secret; nil if it needs nothing
	RefreshAssertion *Assertion // what RefreshClientAuth needs

	// Grant is the assertion that the grant jwt_bearer gets a token for; nil for other grants.
	Grant *Assertion

	TokenExchange *TokenExchange // of the grant token_exchange; nil for other grants

	Scopes           []string
	ScopeSeparator   string // "" for a blank (RFC 6749 §3.3)
	ScopeInAssertion bool   // the assertion of Grant names the scopes, and the request need not
	ScopeOnRefresh   bool   // refresh requests name the scopes, too
	Audience         string
	Resource         []string // RFC 8707

	TokenParams         map[string]string // parameters of token requests, in the place of ours too
	TokenHeader         map[string]string // header fields of token requests, in the place of ours too
	AuthorizationParams map[string]string // further parameters of authorization requests

	RefreshToken string // that the operator has written, "" for none

	Username string // of the grant password
	Password string // of the grant password

	Answer    AnswerPaths // where an answer has what it brings
	PKCEPlain bool        // the challenge of PKCE is the verifier itself (RFC 7636 §4.2)

	Proof   *ProofKey     // that tokens are bound to (RFC 9449); nil: they are not
	Public  Endpoints     // that a public address has named, so that none of them may be private
	JSON    bool          // token requests are JSON, not a form
	IDToken bool          // an answer must have an ID token, and need not have an access token
	Timeout time.Duration // of one request

	// Secrets are values that no description shows. Those of the fields above are secrets
	// without being named here.
	Secrets []string

	// Tokens returns further values that no description shows: the tokens that are known when the
	// answer has come. It may be nil.
	Tokens func() []string
}

// Endpoints is a choice of a provider's endpoints.
type Endpoints struct{ Token, Revocation, PAR bool }

// Credentials asks for a token by client credentials (RFC 6749 §4.4).
func (c *Client) Credentials(ctx context.Context, cfg *Config) (*Answer, error) {
	form := cfg.form("client_credentials")
	cfg.addScope(form)
	return c.token(ctx, &attempt{cfg: cfg, auth: cfg.clientAuth(), form: form, refused: clientAuthRemedy(cfg.clientAuth().name)})
}

// Exchange redeems an authorization code (RFC 6749 §4.1.3). verifier is that of PKCE, "" for none.
// A caller must not send a code twice: the provider then withdraws what it has issued for the
// code.
func (c *Client) Exchange(ctx context.Context, cfg *Config, code, verifier string) (*Answer, error) {
	form := cfg.form("authorization_code")
	form.Set("code", code)
	if cfg.RedirectURL != "" {
		form.Set("redirect_uri", cfg.RedirectURL)
	}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return c.token(ctx, &attempt{cfg: cfg, auth: cfg.clientAuth(), form: form})
}

// Refresh redeems a refresh token (RFC 6749 §6). An answer that comes together with an error is of
// no use but for its refresh token, which has taken the place of the one that was sent.
func (c *Client) Refresh(ctx context.Context, cfg *Config, refreshToken string) (*Answer, error) {
	form := cfg.form("refresh_token")
	form.Set("refresh_token", refreshToken)
	if cfg.ScopeOnRefresh {
		cfg.addScope(form)
	}
	return c.token(ctx, &attempt{
		cfg: cfg, auth: cfg.refreshClientAuth(), endpoint: cmp.Or(cfg.RefreshURL, cfg.TokenURL), form: form, refresh: true,
	})
}

// form returns the parameters that each token request of a grant type has.
func (cfg *Config) form(grantType string) url.Values {
	form := url.Values{"grant_type": {grantType}}
	if cfg.Audience != "" {
		form.Set("audience", cfg.Audience)
	}
	if len(cfg.Resource) > 0 {
		form["resource"] = cfg.Resource
	}
	return form
}

func (cfg *Config) addScope(form url.Values) {
	if len(cfg.Scopes) > 0 && !cfg.ScopeInAssertion {
		form.Set("scope", strings.Join(cfg.Scopes, cmp.Or(cfg.ScopeSeparator, " ")))
	}
}

// String keeps what is secret out of logs and errors.
func (*Config) String() string { return "[configuration]" }

// GoString is String for %#v.
func (cfg *Config) GoString() string { return cfg.String() }

// MarshalText keeps what is secret out of JSON and of reflecting loggers.
func (cfg *Config) MarshalText() ([]byte, error) { return []byte(cfg.String()), nil }
