// SPDX-License-Identifier: Apache-2.0

package provider

import "context"

// Password asks for a token by a user's name and password (RFC 6749 §4.3).
func (c *Client) Password(ctx context.Context, cfg *Config) (*Answer, error) {
	form := cfg.form("password")
	form.Set("username", cfg.Username)
	form.Set("password", cfg.Password)
	cfg.addScope(form)
	return c.token(ctx, &attempt{cfg: cfg, auth: cfg.clientAuth(), form: form})
}
