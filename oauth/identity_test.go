// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestIdentityParts: what a token is issued for tells identities apart, and the secret does not.
func TestIdentityParts(t *testing.T) {
	base := Options{Grant: "client_credentials"}
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
		func(r *provider.Config) { r.Resource = []string{"a"}; r.TokenParams["a"] = "b" },
	} {
		id := req(change)
		if j, ok := seen[id]; ok {
			t.Errorf("changes %d and %d make one identity", i+1, j)
		}
		seen[id] = i + 1
	}
}
