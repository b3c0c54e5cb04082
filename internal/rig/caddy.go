// SPDX-License-Identifier: Apache-2.0

// Package rig is what the tests of all packages share: a Caddy in this process or in one of its
// own, APIs that keep the bytes that they get, clients that send bytes as they are told,
// certificates, a network in memory, and the lines of Caddy's log. Only tests import it.
package rig

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// Load adapts and loads a Caddyfile.
func Load(caddyfile string) error {
	if !strings.HasPrefix(caddyfile, "{\n") {
		caddyfile = globals + caddyfile
	}
	config, err := adaptChosen(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// Start runs a Caddy until the test ends. It replaces GATEWAY in the Caddyfile by an address on
// the loopback interface, which it returns, and PORT by the port of that address.
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

// Stop stops Caddy, so that what is in its memory is gone, and waits until nobody listens on an
// address. Caddy's servers end in the background: one that is started there at once shares the
// port with the server that ends, and a connection may come to that one.
func Stop(t testing.TB, address string) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Fatalf("stopping Caddy: %v", err)
	}
	Wait(t, "the end of Caddy's listener", 10*time.Second, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return true
		}
		_ = conn.Close()
		return false
	})
}

// Free takes these ports. They are below the ports that systems choose for outgoing connections:
// such a connection could take the port of a gateway that is about to start.
const (
	firstPort = 10_240
	ports     = 20_000
)

// given counts the ports that Free has tried. Each process begins at another port, since packages
// are tested side by side.
var given atomic.Int64

func init() { given.Store(int64(os.Getpid()) * 7919) }

// Free returns a TCP address that nobody listens on. It returns no address twice in a process.
func Free(t testing.TB) string {
	t.Helper()
	for range ports {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+given.Add(1)%ports))
		if err != nil {
			continue // somebody has it
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}
