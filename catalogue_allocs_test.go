// SPDX-License-Identifier: Apache-2.0

//go:build !race

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestAllocsOfEntries: what an entry of a catalogue costs when a configuration loads. It must not
// grow with the number of entries, and options that are not given cost next to nothing.
func TestAllocsOfEntries(t *testing.T) {
	t.Setenv("ENTRY_SECRET", "canary-of-an-entry")
	const client = "client_id id\nclient_secret {env.ENTRY_SECRET}\ntoken_url https://provider.example/token\n"
	for _, test := range []struct {
		name, auth string
		most       float64
	}{
		{"bearer", "auth bearer {env.ENTRY_SECRET}", 200},
		{"client_credentials", "auth oauth2 client_credentials {\n" + client + "}", 520},
		{"authorization_code", "auth oauth2 authorization_code {\n" + client + "authorization_url https://provider.example/authorize\n" +
			"redirect_url https://gateway.example/connect/callback\n}", 600},
	} {
		t.Run(test.name, func(t *testing.T) {
			few, more, many := provisioning(t, 50, test.auth), provisioning(t, 150, test.auth), provisioning(t, 450, test.auth)
			each, later := (more-few)/100, (many-more)/300
			t.Logf("%.0f allocations for an entry", each)
			if each > test.most {
				t.Errorf("an entry takes %.0f allocations; at most %.0f", each, test.most)
			}
			if later > 1.1*each {
				t.Errorf("an entry takes %.0f allocations among the first 150, and %.0f among the next 300", each, later)
			}
		})
	}
}

// provisioning returns the allocations that it takes to provision a catalogue of n entries.
func provisioning(t *testing.T, n int, auth string) float64 {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "{\nadmin off\nstorage file_system %s\nlog {\nlevel ERROR\n}\n}\nhttp://gateway.example {\nauthenticated_apis {\n", t.TempDir())
	for i := range n {
		fmt.Fprintf(&b, "api%05d https://api.example/v1 {\n%s\n}\n", i, auth)
	}
	b.WriteString("}\n}\n")
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(b.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 2
	configs := make([]caddy.Config, 1+runs) // provisioning a configuration uses it up
	for i := range configs {
		if err := json.Unmarshal(text, &configs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return testing.AllocsPerRun(runs, func() {
		if err := caddy.Validate(&configs[0]); err != nil {
			t.Fatal(err)
		}
		configs = configs[1:]
	})
}
