// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// TestProviders: the command lists each provider, and as JSON all that is known, with the sources.
func TestProviders(t *testing.T) {
	text, err := output(t, "", "providers")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != len(oauth.Presets())+1 {
		t.Errorf("%d lines", len(lines))
	}
	for _, part := range []string{"github ", "https://github.com/login/oauth/access_token", "okta <tenant>", "access_type=offline prompt=consent"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in\n%s", part, text)
		}
	}
	text, err = output(t, "", "providers", "--json")
	var list []oauth.Preset
	if err != nil || json.Unmarshal([]byte(text), &list) != nil || len(list) != len(oauth.Presets()) || len(list[0].Sources) == 0 {
		t.Errorf("%s, %v", text, err)
	}
}
