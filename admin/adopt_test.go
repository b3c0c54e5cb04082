// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestAdopt: the command hands a refresh token to the running Caddy, which checks it by one
// refresh.
func TestAdopt(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	admin := startConnections(t, provider, t.TempDir())

	provider.answers(oauthError("400 Bad Request", "invalid_grant"))
	text, err := output(t, adminToken+"-r0\n", "adopt", "crm", "--address", admin)
	if err == nil || !strings.Contains(err.Error(), "invalid_grant") || strings.Contains(text+err.Error(), adminToken+"-r0") {
		t.Errorf("a refused token: %s, %v", text, err)
	}
	provider.answers("")
	for _, test := range []struct{ stdin, name, connection, want string }{
		{"", "crm", "", "there is no refresh token on standard input"},
		{"two words", "crm", "", "the token alone"},
		{"r", "robot", "", "client_credentials"},
		{"r", "nobody", "", "nobody"},
		{"r", "files", "", "say which"},
	} {
		if text, err := output(t, test.stdin, "adopt", test.name, "--address", admin); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q to %s: %s, %v", test.stdin, test.name, text, err)
		}
	}
	for _, args := range [][]string{{"adopt", "crm", "--address", admin}, {"adopt", "files", "--connection", "ann", "--address", admin}} {
		text, err := output(t, " "+adminToken+"-r0\r\n", args...)
		if err != nil || !strings.Contains(text, "connected") || strings.Contains(text, adminToken) {
			t.Errorf("%q: %s, %v", args, text, err)
		}
	}
	if status, text := askAdmin(t, admin, "POST", "adopt", `{"datasource":"crm"}`); status != 400 || !strings.Contains(text, "refresh_token") {
		t.Errorf("without a token: %d %s", status, text)
	}
	if status, text := askAdmin(t, admin, "GET", "connections", ""); status != 200 || strings.Contains(text, adminToken) || strings.Count(text, `"connected"`) != 2 {
		t.Errorf("the list is %s", text)
	}
}
