// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"
)

// TestIdentity: a token for another client, other scopes or another provider is not used; one of
// another secret is.
func TestIdentity(t *testing.T) {
	base := map[string]string{
		"token_url": "https://a.example/token", "client_id": "i", "client_secret": "s", "scopes": "a b", "audience": "u", "resource": "r1 r2",
		"token_field": "access_token", "timeout": "10s", "client_auth": "client_secret_post", "header_prefix": "Bearer",
	}
	identity := func(option, val string) string {
		t.Helper()
		var block strings.Builder
		for name, old := range base {
			if name == option {
				old = val
			}
			if old != "" {
				block.WriteString(name + " " + old + "\n")
			}
		}
		m, _ := provision(t, block.String())
		req, err := m.resolve()
		if err != nil {
			t.Fatal(err)
		}
		return m.identity(req)
	}
	want := identity("", "")
	for option, vals := range map[string][]string{
		"token_url": {"https://b.example/token", "https://a.example/token?x"}, "client_id": {"j"},
		"scopes": {"a", "a b c", "a,c", ""}, "audience": {"v", ""}, "resource": {"r1", "r2 r1", "r1r2", ""}, "token_field": {"id_token"},
	} {
		for _, val := range vals {
			if identity(option, val) == want {
				t.Errorf("%s %s: the token for %s is used", option, val, base[option])
			}
		}
	}
	for option, val := range map[string]string{
		"client_secret": "other", "timeout": "5s", "client_auth": "client_secret_basic", "header_prefix": "Token", "token_field": "",
	} {
		if identity(option, val) != want {
			t.Errorf("%s %s drops a valid token", option, val)
		}
	}
	// Where one text ends and the next begins is part of it.
	base["audience"], base["scopes"] = "", ""
	a := identity("audience", "x")
	if b := identity("scopes", "x"); a == b {
		t.Error("a scope is like an audience")
	}
}
