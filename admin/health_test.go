// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestAdminHealth: the admin endpoint says whether anything fails or needs somebody, and where.
func TestAdminHealth(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	provider := newTokenServer(t)
	admin := startConnections(t, provider, t.TempDir())
	check := func(want int, body string) {
		t.Helper()
		if status, text := askAdmin(t, admin, "GET", "health", ""); status != want || text != body {
			t.Errorf("%d %s, want %d %s", status, text, want, body)
		}
		if status, _ := askAdmin(t, admin, "HEAD", "health", ""); status != want {
			t.Errorf("HEAD: %d, want %d", status, want)
		}
	}
	check(503, `{"healthy":false,"unhealthy":["crm"]}`)
	connect(t, "crm", "")
	connect(t, "files", "ann")
	check(200, `{"healthy":true}`)
	provider.answers(rig.Response("401 Unauthorized", "Content-Type: application/json\r\n", `{"error":"invalid_client"}`))
	for _, body := range []string{`{"datasource":"robot"}`, `{"datasource":"files","connection":"ann"}`} {
		askAdmin(t, admin, "POST", "refresh", body)
	}
	check(503, `{"healthy":false,"unhealthy":["files","robot"]}`)
	if status, _ := askAdmin(t, admin, "POST", "health", "{}"); status != 405 {
		t.Errorf("POST: %d", status)
	}
}

// TestAdminHealthWithoutOAuth: where nothing can fail, nothing does.
func TestAdminHealthWithoutOAuth(t *testing.T) {
	admin := rig.Free(t)
	rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\nrespond ok\n}")
	if status, text := askAdmin(t, admin, "GET", "health", ""); status != 200 || text != `{"healthy":true}` {
		t.Errorf("%d %s", status, text)
	}
}
