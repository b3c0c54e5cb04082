// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parse reads the method of a Caddyfile.
func parse(t testing.TB, block string) *Method {
	t.Helper()
	m := new(Method)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 client_credentials {\n" + block + "\n}")); err != nil {
		t.Fatal(err)
	}
	return m
}

// provision returns the method of a Caddyfile, ready for token requests.
func provision(t testing.TB, block string) (*Method, oauthtest.Logs) {
	t.Helper()
	m := parse(t, block)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	var observed oauthtest.Logs
	m.logger, observed = oauthtest.NewLogger()
	m.client, m.public = provider.New(m.tls, nil), provider.New(m.tls, nil)
	return m, observed
}

// sent returns what a credential puts into the header Authorization, without "Bearer ".
func sent(c *auth.Credential) string {
	if c == nil {
		return "no credential"
	}
	h := make(http.Header)
	c.SetHeader(h)
	return strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
}

// write puts a file where it is needed.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue returns a token as a provider has issued it now. A life of 0 is not known.
func issue(access string, life time.Duration) *record.Token {
	return record.New(record.Issued{Access: access, Lifetime: life, Received: time.Now()}, record.Term{}, nil)
}
