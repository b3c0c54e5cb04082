// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"testing"
	"time"
)

// TestForced: renewals that change nothing become rarer, up to an hour; one that helps makes the next one quick again.
func TestForced(t *testing.T) {
	var f forced
	now := time.Now()
	for _, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600} {
		if !f.begin(now) {
			t.Fatalf("not after %v", want/2*time.Second)
		}
		if wait := want * time.Second; f.begin(now.Add(wait-1)) || f.wait != wait {
			t.Errorf("the next one comes after %v, want %v", f.wait, wait)
		}
		now = now.Add(f.wait)
	}
	f.wait = forcedInterval // as Confirm does
	if f.begin(f.at.Add(forcedInterval-1)) || !f.begin(f.at.Add(forcedInterval)) {
		t.Error("after one that has helped")
	}
	f.wait = forcedLongest
	if !f.begin(f.at.Add(3*time.Hour)) || f.wait != forcedInterval {
		t.Error("after a day without refusals")
	}
}
