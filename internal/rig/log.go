// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// Entry is a line of Caddy's log, in the format json.
type Entry map[string]any

// Logged returns the lines of a log file whose message contains a text. A file that is not there
// has no lines.
func Logged(t testing.TB, file, message string) (entries []Entry) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) != nil {
			continue // the last line may be half written
		}
		if msg, _ := e["msg"].(string); strings.Contains(msg, message) {
			entries = append(entries, e)
		}
	}
	return entries
}

// WantLogged returns the last line whose message contains a text. It waits a moment for the line,
// since what logs may run in the background, and fails the test if none comes.
func WantLogged(t testing.TB, file, message string) Entry {
	t.Helper()
	for range 40 {
		if entries := Logged(t, file, message); len(entries) > 0 {
			return entries[len(entries)-1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(file)
	t.Fatalf("%q is not in the log, which ends with\n%s", message, text[max(0, len(text)-4000):])
	return nil
}
