// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// wantNoSecret fails the test if a file below a folder, or the file itself, has a secret or a
// token in it.
func wantNoSecret(t testing.TB, root string, secrets ...string) {
	t.Helper()
	if searchSecrets(t, root, secrets) == 0 {
		t.Errorf("looking for secrets in %s: there is no file", root)
	}
}

// wantNoSecret fails the test if there is a secret in a file of the process, or in its storage if
// there is any.
func (p *process) wantNoSecret(t testing.TB, secrets ...string) {
	t.Helper()
	wantNoSecret(t, p.Dir, secrets...)
	searchSecrets(t, p.storage, secrets)
}

// searchSecrets reports an error for each secret in a file, and returns in how many files it has
// looked.
func searchSecrets(t testing.TB, root string, secrets []string) (files int) {
	t.Helper()
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
	if err != nil {
		t.Errorf("looking for secrets in %s: %v", root, err)
	}
	return files
}

// forms returns the forms in which a secret could appear.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	for shift := range 3 {
		// Those characters of a longer text's base64 that stand for the secret alone, shift bytes
		// behind a multiple of three.
		first, last := (shift*8+5)/6, (shift+len(secret))*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, enc.EncodeToString(append(make([]byte, shift), secret...))[first:last])
		}
	}
	return all
}
