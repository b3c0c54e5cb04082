// SPDX-License-Identifier: Apache-2.0

package months

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestShortOutages: each day the provider is down for half of the margin, at any time. Nobody
// notices.
func TestShortOutages(t *testing.T) {
	rig.Long(t, "ten days of virtual time take a while")
	inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "outages", storage, time.Hour, false)
		w.connect("", "ann")
		outages(w, 3*time.Minute, 6)
		w.wantFailures(0)
		t.Logf("%d requests, of which %d have waited; %d redemptions", w.served, w.waited, w.check(""))
		if w.waited > 0 {
			t.Errorf("%d requests have waited", w.waited)
		}
	})
}

// TestOutageWithinMargin: the provider goes down just when a token is to be renewed, and is back a
// minute before it expires. No caller notices: the back-off, which has grown to five minutes by
// then, must not go beyond the token's expiry.
func TestOutageWithinMargin(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "margin", storage, time.Hour, false)
		w.connect("", "ann")
		for range 20 {
			status, err := w.method.Source("").Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(status.ExpiresAt.Add(-7 * time.Minute)))
			w.network.Set(false)
			for time.Until(*status.ExpiresAt) > -7*time.Minute {
				time.Sleep(5 * time.Second)
				w.network.Set(time.Until(*status.ExpiresAt) < time.Minute)
				w.request("")
			}
		}
		w.wantFailures(0)
		w.check("")
	})
}

// TestLongOutages has a provider that is down each day for longer than the margin. Requests fail
// only when the token has expired and the provider is down, or was down a moment ago. The answers
// say when to try again. No grant is lost.
func TestLongOutages(t *testing.T) {
	rig.Long(t, "ten days of virtual time take a while")
	inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "outages", storage, time.Hour, false)
		w.connect("", "ann")
		ends := outages(w, 30*time.Minute, 1)
		t.Logf("%d requests, of which %d have waited and %d have failed; %d redemptions", w.served, w.waited, len(w.failures), w.check(""))
		if len(w.failures) == 0 {
			t.Error("no request has failed")
		}
		after := 0
		for _, f := range w.failures { // that none of them had a valid token request has checked
			wantUnavailable(t, f.err)
			if f.down {
				continue
			}
			after++
			late := time.Hour
			for _, end := range ends {
				if d := f.at.Sub(end); d >= 0 {
					late = min(late, d)
				}
			}
			if late > 6*time.Minute { // the longest back-off
				t.Errorf("a request has failed %v after the outage: %v", late, f.err)
			}
		}
		t.Logf("%d of them when the provider was back", after)
	})
}

// outages runs for ten days with so many outages a day, and returns when they ended.
func outages(w *world, length time.Duration, each int) (ends []time.Time) {
	begin := time.Now()
	period := day / time.Duration(each)
	for next := begin; time.Since(begin) < 10*day; next = next.Add(period) {
		from := next.Add(time.Duration(rand.Int64N(int64(period - length))))
		to := from.Add(length)
		for time.Since(next) < period {
			pause := time.Duration(rand.Int64N(int64(3 * time.Minute)))
			for _, turn := range []time.Time{from, to} { // neither is slept over
				if wait := time.Until(turn); wait > 0 {
					pause = min(pause, wait)
				}
			}
			time.Sleep(pause)
			now := time.Now()
			switch down := w.network.Down(); {
			case !down && !now.Before(from) && now.Before(to):
				w.network.Set(false)
			case down && !now.Before(to):
				w.network.Set(true)
				ends = append(ends, now)
			}
			w.requests("")
		}
	}
	return ends
}
