// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"sync/atomic"
	"time"
)

// hourly lets one request in an hour log what each of them could. The zero value is ready for
// use.
type hourly struct {
	next atomic.Int64 // in Unix seconds
}

// due reports whether it is time for a line in the log. Of several callers at that time one gets
// true.
func (h *hourly) due() bool {
	now, next := time.Now().Unix(), h.next.Load()
	return now >= next && h.next.CompareAndSwap(next, now+int64(time.Hour/time.Second))
}
