// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestNothingShown: whatever formats or encodes a configuration or an answer shows no secret.
func TestNothingShown(t *testing.T) {
	for _, v := range []any{configOf("https://p.example"), &Answer{AccessToken: oauthtest.TokenText, RefreshToken: oauthtest.TokenText, IDToken: oauthtest.TokenText}} {
		encoded, err := json.Marshal(map[string]any{"v": v})
		if err != nil {
			t.Fatal(err)
		}
		if text := string(encoded) + fmt.Sprintf("%v %+v %#v %s", v, v, v, v); oauthtest.Leaks(text) != nil {
			t.Errorf("%T shows a secret: %s", v, text)
		}
	}
}
