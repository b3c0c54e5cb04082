// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"testing"
	"time"
)

// Wait waits until something is reached, and fails the test when its patience is at an end.
func Wait(t testing.TB, what string, patience time.Duration, reached func() bool) {
	t.Helper()
	for begin := time.Now(); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
