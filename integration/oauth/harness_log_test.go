// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// entry is a line of Caddy's log.
type entry map[string]any

// logged returns the lines of a log file with that message.
func logged(t testing.TB, file, message string) (entries []entry) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e entry
		if json.Unmarshal(line, &e) == nil && strings.Contains(fmt.Sprint(e["msg"]), message) {
			entries = append(entries, e)
		}
	}
	return entries
}

// wantLogged returns the last line with that message, which must be there.
func wantLogged(t testing.TB, file, message string) entry {
	t.Helper()
	for range 40 { // a renewal in the background may just be ending
		if entries := logged(t, file, message); len(entries) > 0 {
			return entries[len(entries)-1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(file)
	t.Fatalf("%q is not in the log, which ends with\n%s", message, text[max(0, len(text)-4000):])
	return nil
}

// wantNoSecret fails the test if a file below a folder, or the file itself, has a secret or a token in it.
func wantNoSecret(t testing.TB, root string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			for _, form := range forms(secret) {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%s has a secret in it: %q", file, form)
				}
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("looking for secrets in %s: %d files, %v", root, files, err)
	}
}

// forms returns the ways in which a secret could stand somewhere.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	for shift := range 3 {
		// Those characters of a longer text's base64 that stand for the secret alone, shift bytes behind a multiple of three.
		first, last := (shift*8+5)/6, (shift+len(secret))*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, enc.EncodeToString(append(make([]byte, shift), secret...))[first:last])
		}
	}
	return all
}
