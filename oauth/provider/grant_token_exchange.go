// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"strings"
)

const (
	tokenExchangeType = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // G101: a name
	tokenTypePrefix   = "urn:ietf:params:oauth:token-type:"               //nolint:gosec // G101: a name

	secondLegRemedy = "check that the provider of the second leg knows this user, that it takes assertions of the first one (issuer, audience) " +
		"for this client, and the clock; audience and resource of the first leg say whom its assertion is for"

	tokenExchangeRemedy = "check that the provider takes the caller's token (who has issued it, and for which audience), subject_token_type, " +
		"audience and resource"
)

// TokenExchange is what a token exchange asks for (RFC 8693 §2.1).
type TokenExchange struct {
	SubjectType   string
	RequestedType string // "" for what the provider chooses
	ActorToken    string // "" for none
	ActorType     string
	OnBehalfOf    bool // as Microsoft Entra ID has it, in the place of RFC 8693

	// Then is the client at another provider, which takes what the first one has issued as an
	// assertion (RFC 7523 §2.1); nil for none. That is how an identity assertion authorization
	// grant (ID-JAG) becomes a token.
	Then *Config
}

// TokenTypes are the short names of token types (RFC 8693 §3, and ID-JAG).
func TokenTypes() []string {
	return []string{"access_token", "refresh_token", "id_token", "saml1", "saml2", "jwt", "id-jag"}
}

// tokenType returns the URN of a token type that has a short name.
func tokenType(name string) string {
	if name == "" || strings.Contains(name, ":") {
		return name
	}
	return tokenTypePrefix + name
}

// ExchangeToken exchanges a caller's token (RFC 8693). actor is who acts for the caller, "" for
// what TokenExchange says.
func (c *Client) ExchangeToken(ctx context.Context, cfg *Config, subject, actor string) (*Answer, error) {
	x := cfg.TokenExchange
	if x == nil || subject == "" {
		return nil, &Error{Err: errors.New("there is no token to exchange")}
	}
	a := &attempt{cfg: cfg, auth: cfg.clientAuth(), endpoint: cfg.TokenURL, refused: tokenExchangeRemedy}
	if x.OnBehalfOf {
		a.form = cfg.form(jwtBearerType)
		a.form.Set("assertion", subject)
		a.form.Set("requested_token_use", "on_behalf_of")
	} else {
		a.form = cfg.form(tokenExchangeType)
		a.form.Set("subject_token", subject)
		a.form.Set("subject_token_type", tokenType(x.SubjectType))
		if x.RequestedType != "" {
			a.form.Set("requested_token_type", tokenType(x.RequestedType))
		}
		if actor == "" {
			actor = x.ActorToken
		}
		if actor != "" {
			a.form.Set("actor_token", actor)
			a.form.Set("actor_token_type", tokenType(x.ActorType))
		}
	}
	cfg.addScope(a.form)
	return c.token(ctx, a)
}

// ThenJWTBearer redeems what ExchangeToken has brought at the other provider.
func (c *Client) ThenJWTBearer(ctx context.Context, cfg *Config, assertion string) (*Answer, error) {
	then := *cfg.TokenExchange.Then
	then.Grant = &Assertion{Text: assertion}
	then.Tokens = func() []string { return append(cfg.secrets(), assertion) }
	return c.jwtBearer(ctx, &then, secondLegRemedy)
}
