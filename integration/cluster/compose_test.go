// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestCompose runs the Caddyfile of compose.yaml as two nodes with a Redis that asks for a
// password: one token serves both, and outlives both.
func TestCompose(t *testing.T) {
	t.Parallel()
	p := provider.New(t, time.Hour)
	api := provider.NewAPI(t, p)
	secrets := t.TempDir()
	for name, text := range map[string]string{"redis_password": "redis-secret", "gateway_key": seal.NewKey(), "client_secret": provider.ClientSecret} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := net.SplitHostPort(runRedis(t, "--requirepass", "redis-secret"))
	text, err := os.ReadFile("../../packaging/compose.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*rig.Process
	for range 2 {
		n := &rig.Process{Addr: rig.Free(t), Dir: t.TempDir()}
		t.Cleanup(func() { n.End(syscall.SIGKILL) })
		nodes = append(nodes, n)
	}
	start := func(n *rig.Process) {
		t.Helper()
		config := strings.NewReplacer("http://:8080", "http://"+n.Addr, "admin localhost:2019", "admin off", "/run/secrets", secrets).Replace(string(text))
		n.Start(t, config, "REDIS_HOST="+host, "REDIS_PORT="+port, "API_URL="+api.URL, "TOKEN_URL="+p.TokenURL(), "CLIENT_ID="+provider.ClientID)
	}
	wantServed := func(n *rig.Process) {
		t.Helper()
		if res := rig.Get(t, n.Addr, "/x", ""); res.StatusCode != 200 {
			t.Errorf("a node answers %d %q:\n%s", res.StatusCode, res.Text, n.Output())
		}
	}
	for _, n := range nodes {
		start(n)
		wantServed(n)
	}
	for _, n := range nodes {
		n.End(syscall.SIGTERM)
	}
	start(nodes[0])
	wantServed(nodes[0])
	if n := p.Requests.Load(); n != 1 {
		t.Errorf("there were %d token requests", n)
	}
}
