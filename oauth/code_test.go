// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// codeBlock is a Caddyfile's block of the grant authorization_code, with what each needs.
func codeBlock(block string) *caddyfile.Dispenser {
	return caddyfile.NewTestDispenser("oauth2 authorization_code {\n" +
		"token_url https://p.example/token\nauthorization_url https://p.example/authorize\nredirect_url https://g.example/connect/callback\n" +
		"client_id i\nclient_secret s\n" + block + "\n}")
}

// parseCode returns a method with the grant authorization_code, ready to be bound.
func parseCode(t testing.TB, block string) *Method {
	t.Helper()
	m := new(Method)
	if err := m.UnmarshalCaddyfile(codeBlock(block)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	m.logger, _ = oauthtest.NewLogger()
	return m
}
