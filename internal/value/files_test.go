// SPDX-License-Identifier: Apache-2.0

package value

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFiles: what is read, and nothing else.
func TestFiles(t *testing.T) {
	for _, tt := range []struct {
		texts, want []string
	}{
		{[]string{"plain", "{env.HOME}", `\{file./no\}`, "{{bad}}", ""}, nil},
		{[]string{"{file./run/secrets/a}"}, []string{"/run/secrets/a"}},
		{[]string{"{file./a/b}:{file./a/c}", "x{file./a/b}", "{env.FILE}"}, []string{"/a/b", "/a/c"}},
	} {
		if got := Files(tt.texts...); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.texts, got, tt.want)
		}
	}
}

// TestPEMFiles: the option's value is a PEM, its file, or a placeholder for either.
func TestPEMFiles(t *testing.T) {
	const text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_PEM", text)
	t.Setenv("TEST_PEM_FILE", file)
	for configured, want := range map[string][]string{
		text: nil, "a-secret-that-is-no-file": nil, "{env.TEST_PEM}": nil, "{env.TEST_UNSET_PEM}": nil, "": nil,
		file: {file}, "{env.TEST_PEM_FILE}": {file}, "{file." + file + "}": {file},
	} {
		if got := PEMFiles(configured); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", configured, got, want)
		}
	}
}
