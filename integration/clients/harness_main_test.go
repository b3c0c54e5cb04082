// SPDX-License-Identifier: Apache-2.0

// Package clients runs the programs and SDKs that people use against real servers, and against faithful ones where a real
// one cannot be had: directly with the credential, and through a gateway without. Each step must have the same result on
// both ways, or be in the table of docs/clients.md.
package clients

import (
	"os"
	"path/filepath"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/caddyserver/caddy/v2"
)

// asCaddy is the variable of the environment that makes a Caddy of this program.
const asCaddy = "CLIENTS_TEST_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// XDG_CONFIG_HOME was read when the package was loaded; this is what came of it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	return m.Run()
}
