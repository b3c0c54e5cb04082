// SPDX-License-Identifier: Apache-2.0

// Package rig is what the tests of all packages share: a Caddy in this process or in one of its
// own, APIs that keep the bytes they are sent, clients that send bytes as they are told,
// certificates, ports, a network in memory, and the lines of Caddy's log. It knows nothing of this
// module: it runs whatever Caddyfile it is given.
package rig

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the Caddy that users build
)

// Adapt turns a Caddyfile into JSON.
func Adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// globals go in front of every Caddyfile whose test does not bring its own.
const globals = "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tgrace_period 1s\n\tdefault_bind 127.0.0.1\n}\n"

// Load adapts and loads a Caddyfile. An @ in front of a port is left to the caller; see Start.
func Load(caddyfile string) error {
	if !strings.HasPrefix(caddyfile, "{\n") {
		caddyfile = globals + caddyfile
	}
	config, err := Adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// Start runs a Caddy until the test ends. GATEWAY in the Caddyfile is replaced by an address on
// the loopback interface, which is returned, and PORT by its port.
func Start(t testing.TB, caddyfile string) (address string) {
	t.Helper()
	address = Free(t)
	_, port, _ := strings.Cut(address, ":")
	if err := Load(strings.NewReplacer("GATEWAY", address, "PORT", port).Replace(caddyfile)); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return address
}
