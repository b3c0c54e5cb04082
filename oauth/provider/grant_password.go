// SPDX-License-Identifier: Apache-2.0

package provider

import "context"

const passwordRemedy = "check username and password, and whether the provider wants a second factor of this user"

// Password asks for a token by a user's name and password (RFC 6749 §4.3).
func (c *Client) Password(ctx context.Context, cfg *Config) (*Answer, error) {
	form := cfg.form("password")
	form.Set("username", cfg.Username)
	form.Set("password", cfg.Password)
	cfg.addScope(form)
	return c.token(ctx, &attempt{cfg: cfg, auth: cfg.clientAuth(), form: form, refused: passwordRemedy})
}
