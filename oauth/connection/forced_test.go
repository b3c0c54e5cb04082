// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"testing"
	"time"
)

// TestForced: renewals that change nothing become rarer, up to an hour; one that helps makes the
// next one quick again.
func TestForced(t *testing.T) {
	var f forced
	now := time.Now()
	want := forcedInterval
	for range 11 {
		if !f.begin(now) {
			t.Fatalf("not when %v have passed", f.wait)
		}
		if f.begin(now.Add(want-1)) || f.wait != want {
			t.Errorf("the next one comes after %v, want %v", f.wait, want)
		}
		want = min(2*want, forcedLongest)
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
