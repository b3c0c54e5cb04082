// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
	logs "go.uber.org/zap/zaptest/observer"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestKeyFileReplaced: the key that is in the file now seals, and what the one before has sealed
// can still be opened.
func TestKeyFileReplaced(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	file := filepath.Join(t.TempDir(), "key")
	put := func(key string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := seal.NewKey(), seal.NewKey()
	put(first)
	core, lines := logs.New(zap.InfoLevel)
	a := &App{Keys: []string{"{file." + file + "}"}, logger: zap.New(core)}
	if err := a.loadKeys(); err != nil {
		t.Fatal(err)
	}
	before, err := a.Ring()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := before.Seal([]byte("grant"), "place")
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := a.keys.reread(a.Keys); changed || err != nil {
		t.Errorf("the same file: %t, %v", changed, err)
	}
	for _, bad := range []string{"", "no key", first[:20]} {
		put(bad)
		if changed, err := a.keys.reread(a.Keys); changed || err == nil {
			t.Errorf("%q: %t, %v", bad, changed, err)
		}
	}
	put(second)
	if changed, err := a.keys.reread(a.Keys); !changed || err != nil {
		t.Fatalf("another key: %t, %v", changed, err)
	}
	ring, err := a.Ring()
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := ring.Open(sealed, "place"); err != nil || string(plain) != "grant" {
		t.Errorf("what the old key has sealed: %q, %v", plain, err)
	}
	fresh, err := ring.Seal([]byte("grant"), "place")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open(fresh, "place"); err == nil {
		t.Error("the old key seals still")
	}
	if lines.FilterMessageSnippet("a key is configured no more").Len() != 1 {
		t.Errorf("logged %v", lines.All())
	}
}
