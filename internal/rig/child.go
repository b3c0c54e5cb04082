// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// InChild runs the calling test once more in a process of its own, whose environment is set from
// its first instruction on, and reports whether this is that process.
func InChild(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "TEST_IN_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "60s") //nolint:gosec // G204: this binary
	cmd.Env = append(append(os.Environ(), env...), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a process of its own the test did not run:\n%s", out)
	}
	return false
}
