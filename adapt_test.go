// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

var update = flag.Bool("update", false, "write the golden files anew")

// separator stands between a Caddyfile and what it must adapt to: JSON, or the text of an error.
const separator = "----------\n"

// TestAdapt holds each testdata/adapt/*.caddyfiletest against what Caddy's adapter makes of it.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			caddyfile, want, _ := strings.Cut(read(t, file), separator)
			got := adapted(t, caddyfile)
			if *update {
				write(t, file, caddyfile+separator+got)
			} else if got != want {
				t.Errorf("%s adapts to\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

// TestAdaptExamples does the same for each of the examples, whose JSON is in testdata/examples.
func TestAdaptExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.caddyfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfile")
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata/examples", name+".json")
			got := adapted(t, read(t, file))
			if !strings.HasPrefix(got, "{") {
				t.Fatalf("%s does not adapt: %s", file, got)
			}
			if *update {
				write(t, golden, got)
			} else if want := read(t, golden); got != want {
				t.Errorf("%s adapts to\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

// adapted returns the JSON that a Caddyfile adapts to, indented, or the text of the error.
func adapted(t *testing.T, caddyfile string) string {
	t.Helper()
	config, err := rig.Adapt(caddyfile)
	if err != nil {
		return err.Error() + "\n"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}
