// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// TestQuickstart does what the README says of examples/quickstart_connect.caddyfile, in a browser.
func TestQuickstart(t *testing.T) {
	b := newBrowser(t)
	b.trust(t)
	text, err := os.ReadFile("../../examples/quickstart_connect.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(text), "\n{\n")
	gateway, provider := "http://"+rig.Free(t), "http://"+rig.Free(t)
	if pictures() != "" { // which show the addresses of the example
		gateway, provider = "http://localhost:8080", "http://localhost:9000"
	}
	config = strings.NewReplacer("http://localhost:8080", gateway, "http://localhost:9000", provider).Replace(config)
	config = "{\nstorage file_system " + rig.StorageDir(t) + "\nauthenticated_api {\nkey " + seal.NewKey() + "\n}\n" + config
	if err := rig.Load(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	t.Cleanup(func() { b.wantQuiet(t) }) // before Caddy is stopped

	b.open(t, strings.Replace(gateway, "://", "://ann:ann@", 1)+"/connect/")
	b.wantState(t, "hello", "Not connected")
	b.clickCSS(t, "form[action='hello/connect'] button")
	b.wantText(t, "Quickstart provider", "with your account")
	b.wantAccessible(t)
	if res := b.click(t, "Allow"); res.Status != http.StatusOK || b.location(t) != gateway+"/connect/?at=hello&did=connected#account-hello" {
		t.Fatalf("the way back ends at %s with %d", b.location(t), res.Status)
	}
	b.wantState(t, "hello", "Connected")
	b.wantText(t, "The account is connected", "by ann")
	b.wantAccessible(t)
	b.picture(t, "console", 0)
	b.open(t, gateway+"/hello")
	b.wantText(t, `{"hello": "account of ann"}`)
}
