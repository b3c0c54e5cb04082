// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// Save writes a file that the test removes at its end, and returns its path.
func Save(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// UTF16 returns a text as Windows writes it, with its byte order mark or without.
func UTF16(text string, mark bool) string {
	var out []byte
	if mark {
		out = []byte{0xff, 0xfe}
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// Replace replaces a file at once, as an agent does that mounts secrets.
func Replace(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// StorageDir returns a folder for a storage of Caddy's, which is removed when the test ends.
// Unlike one of t.TempDir it may be written to a moment later. It is in memory where the system
// has such folders: Caddy's storage waits for the disk at each file (fsync), which is what a test
// of it took most of its time for.
func StorageDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "storage")
	if err != nil {
		dir, err = os.MkdirTemp("", "storage")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
