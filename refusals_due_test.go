// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"testing"
	"time"
)

// TestRefusalsDue: one line a minute, which says how many there were without one.
func TestRefusalsDue(t *testing.T) {
	var r refusalTrace
	now := time.Now()
	for _, step := range []struct {
		after  time.Duration
		before int64
		due    bool
	}{
		{0, 0, true}, {time.Second, 0, false}, {59 * time.Second, 0, false}, {time.Minute, 2, true}, {61 * time.Second, 0, false}, {time.Hour, 1, true},
	} {
		if before, due := r.due(now.Add(step.after)); before != step.before || due != step.due {
			t.Errorf("after %v: %d, %t, want %d, %t", step.after, before, due, step.before, step.due)
		}
	}
}
