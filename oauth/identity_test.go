// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestIdentityParts: what a token is issued for tells identities apart, and the secret does not.
func TestIdentityParts(t *testing.T) {
	for _, base := range []*Options{{Grant: "client_credentials"}, {Grant: "client_credentials", Discover: new(string)}} {
		checkIdentities(t, base)
	}
}

func checkIdentities(t *testing.T, base *Options) {
	t.Helper()
	req := func(change func(*provider.Config)) string {
		r := &provider.Config{TokenURL: "https://a/token", ClientID: "id", ClientSecret: "s", TokenParams: map[string]string{}}
		change(r)
		return base.identity(r)
	}
	same := req(func(*provider.Config) {})
	if got := req(func(r *provider.Config) { r.ClientSecret = "rotated" }); got != same {
		t.Error("a rotated secret makes another identity")
	}
	seen := map[string]int{same: 0}
	for i, change := range []func(*provider.Config){
		func(r *provider.Config) { r.ClientID = "other" },
		func(r *provider.Config) { r.TokenURL = "https://b/token" },
		func(r *provider.Config) { r.Audience = "a" },
		func(r *provider.Config) { r.Scopes = []string{"a"} },
		func(r *provider.Config) { r.Resource = []string{"a", "b"} },
		func(r *provider.Config) { r.TokenParams["a"] = "b" },
		func(r *provider.Config) { r.Username = "ann" },
		func(r *provider.Config) { r.Grant = &provider.Assertion{Subject: "ann"} },
		func(r *provider.Config) { r.Grant = &provider.Assertion{Subject: "bob"} },
		func(r *provider.Config) { r.Grant = &provider.Assertion{Claims: map[string]string{"a": "b"}} },
		func(r *provider.Config) { r.TokenExchange = &provider.TokenExchange{RequestedType: "jwt"} },
		func(r *provider.Config) { r.Resource = []string{"a"}; r.TokenParams["a"] = "b" },
	} {
		id := req(change)
		if j, ok := seen[id]; ok {
			t.Errorf("changes %d and %d make one identity", i+1, j)
		}
		seen[id] = i + 1
	}
}
