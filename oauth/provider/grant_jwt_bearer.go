// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
)

// jwtBearerType is the grant_type of RFC 7523 §2.1.
const jwtBearerType = "urn:ietf:params:oauth:grant-type:jwt-bearer" //nolint:gosec // G101: a name

const jwtBearerRemedy = "check issuer, subject, audience and lifetime of the assertion against the provider's documentation, that the provider has " +
	"the public key and that the subject has given its consent there, and the clock"

// JWTBearer asks for a token by an assertion (RFC 7523 §2.1), which is made for this request, or
// was read from a file for it. There is no refresh token: the next request has a new assertion.
func (c *Client) JWTBearer(ctx context.Context, cfg *Config) (*Answer, error) {
	return c.jwtBearer(ctx, cfg, jwtBearerRemedy)
}

func (c *Client) jwtBearer(ctx context.Context, cfg *Config, refused string) (*Answer, error) {
	form := cfg.form(jwtBearerType)
	cfg.addScope(form)
	a := &attempt{cfg: cfg, auth: cfg.clientAuth(), endpoint: cfg.TokenURL, form: form, refused: refused}
	assertion, err := cfg.grantAssertion()
	if err != nil {
		return nil, a.failed(err)
	}
	form.Set("assertion", assertion)
	return c.token(ctx, a)
}

func (cfg *Config) grantAssertion() (string, error) {
	switch {
	case cfg.Grant == nil || cfg.Grant.Text == "" && cfg.Grant.Key == nil:
		return "", errors.New("the assertion has neither a key nor a file")
	case cfg.Grant.Text != "":
		return cfg.Grant.Text, nil
	default:
		return cfg.Grant.signed(cfg)
	}
}
