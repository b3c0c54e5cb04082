// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

func TestCredentialSecrets(t *testing.T) {
	for _, test := range []struct {
		place      auth.Placement
		val        string
		given      []string
		wantSecret string
	}{
		{auth.Placement{Header: "Authorization"}, "Bearer a-token", nil, "a-token"},
		{auth.Placement{Header: "Authorization"}, "a-token", nil, "a-token"},
		{auth.Placement{Header: "X-Key"}, "one two", nil, "one two"},
		{auth.Placement{Header: "X-Key"}, "Token a-token", []string{"a-token"}, "a-token"},
		{auth.Placement{Query: "key"}, "a&b%c", nil, "a&b%c"},
		{auth.Placement{}, "", nil, ""},
	} {
		if got := strings.Join(auth.NewCredential(test.place, test.val, test.given...).Secrets(), "|"); got != test.wantSecret {
			t.Errorf("%v %q: %q is not shown, want %q", test.place, test.val, got, test.wantSecret)
		}
	}
}
