// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"
)

// AsCaddy is the variable of the environment that makes a test binary a Caddy: tests that kill a
// Caddy need a process, and the test binary is built already.
const AsCaddy = "RIG_AS_CADDY"

// Main runs the tests of a package, or Caddy where AsCaddy is set. Caddy's files go to a folder
// that is removed when the tests have ended; before, unless it is nil, is called with this folder.
func Main(m *testing.M, before func(dir string) error) (status int) {
	if os.Getenv(AsCaddy) != "" {
		caddycmd.Main()
		return 0
	}
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// Caddy has read XDG_CONFIG_HOME when its package was loaded, and made this path of it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	for name, folder := range map[string]string{"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"} {
		if err := os.Setenv(name, filepath.Join(dir, folder)); err != nil {
			panic(err)
		}
	}
	// The authorization server of the tests reports the errors that it is made to have.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if before != nil {
		if err := before(dir); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// Lacking ends a test that needs what this machine has not: it skips it, or fails it if CI is
// "true", where everything is installed.
func Lacking(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Long skips a test in a short run, which is `make test`.
func Long(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip(why + "; make test-all runs it")
	}
}
