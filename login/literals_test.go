// SPDX-License-Identifier: Apache-2.0

package login

import (
	"slices"
	"testing"
)

// TestLiterals: a secret that is written out is found under any name, and in the URL.
func TestLiterals(t *testing.T) {
	opts := &Options{
		URL:  "https://nas.example.com/login?account=ann&passwd=canary&session={env.NAME}",
		JSON: map[string]any{"user": "ann", "appSecretOfOurs": "canary", "nested": map[string]any{"thePassword": "canary", "otherToken": "{env.TOKEN}"}},
	}
	want := []string{"auth login: json (a word of 15 characters)", "auth login: json (a word of 11 characters)", "auth login: url"}
	if got := opts.Literals(); !slices.Equal(got, want) {
		t.Errorf("the literals are %q, want %q", got, want)
	}
}
