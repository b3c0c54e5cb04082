// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"sync/atomic"
	"time"
)

// seldom keeps what each request could say from being said by more than one in an hour.
type seldom struct {
	next atomic.Int64 // in Unix seconds
}

// due reports whether it is time to say it, to one caller only.
func (s *seldom) due() bool {
	now, next := time.Now().Unix(), s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(time.Hour/time.Second))
}
