// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"math"
	"time"
)

// moment is a time.Time in eight bytes, since there are a million of them and requests read them
// atomically. As with time.Time, it is by the monotonic clock, which nobody sets, if the time has
// a reading of that, and by the wall clock if it has none. The zero moment is the zero time.
type moment int64

// started is what moments are counted from.
var started = time.Now()

// byWall is the bit of a moment that says that it is by the wall clock. The others are
// nanoseconds.
const byWall = 1

// farthest is how far a moment can be from the start of the process: 73 years.
const farthest = time.Duration(1 << 61)

// momentOf returns a time as a moment.
func momentOf(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	var wall moment
	from := started
	if t == t.Round(0) { //nolint:staticcheck // QF1009: Equal would not compare the readings
		from, wall = started.Round(0), byWall
	}
	m := moment(min(max(t.Sub(from), -farthest), farthest))<<1 | wall
	if m == 0 {
		m = 2
	}
	return m
}

// until returns how long after now the moment is.
func (m moment) until(now time.Time) time.Duration {
	if m&byWall != 0 {
		return time.Duration(m>>1) - now.Sub(started.Round(0))
	}
	return time.Duration(m>>1) - now.Sub(started)
}

// after reports whether the moment is after now.
func (m moment) after(now time.Time) bool { return m.until(now) > 0 }

// age returns how long before now the moment was: for ever if it is zero.
func (m moment) age(now time.Time) time.Duration {
	if m == 0 {
		return math.MaxInt64
	}
	return -m.until(now)
}
