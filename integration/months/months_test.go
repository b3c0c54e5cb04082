// SPDX-License-Identifier: Apache-2.0

package months

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const day = 24 * time.Hour

// TestMonth passes a month of one-hour tokens, with a reload each day, a restart each week, and
// weekends without requests. No request fails, no request waits except for a token that was not
// used for a weekend, and no refresh token comes twice.
func TestMonth(t *testing.T) {
	rig.Long(t, "a month of virtual time takes a while")
	log := inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "month", storage, time.Hour, false)
		w.connect("", "ann")
		begin := time.Now()
		reloads, restarts := 0, 0
		for time.Since(begin) < 30*day {
			if week := time.Now().Weekday(); week == time.Saturday || week == time.Sunday {
				time.Sleep(time.Hour)
			} else {
				time.Sleep(time.Duration(rand.Int64N(int64(5 * time.Minute))))
				w.requests("")
			}
			if int(time.Since(begin)/day) > reloads {
				reloads++
				w.load()
			}
			if int(time.Since(begin)/(7*day)) > restarts {
				restarts++
				w.restart()
			}
		}
		w.wantFailures(0)
		redeemed := w.check("")
		t.Logf("%d requests, of which %d have waited; %d redemptions, %d reloads, %d restarts", w.served, w.waited, redeemed, reloads, restarts)
		// These are the first calls after a weekend, and calls that may come at the same time.
		if w.waited > 5*14 {
			t.Errorf("%d requests have waited for a token", w.waited)
		}
		// 20 days with a token for each 53 to 54 minutes, and one for each day of a weekend.
		if redeemed < 500 || redeemed > 580 {
			t.Errorf("%d redemptions", redeemed)
		}
	})
	wantNoErrors(t, log)
}

// TestIdleMonth: a connection that nobody uses is kept alive by one refresh a day.
func TestIdleMonth(t *testing.T) {
	rig.Long(t, "a month of virtual time takes a while")
	log := inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "idle", storage, time.Hour, false)
		w.connect("", "ann")
		for i := range 30 {
			time.Sleep(day)
			if i%7 == 6 {
				w.restart()
			}
		}
		if redeemed := w.check(""); redeemed < 27 || redeemed > 30 {
			t.Errorf("%d redemptions", redeemed)
		}
		w.request("")
		w.wantFailures(0)
	})
	wantNoErrors(t, log)
}

// TestUsersDays: each user's connection lives a life of its own: ann works all the time, bob in
// the mornings, eve on Mondays.
func TestUsersDays(t *testing.T) {
	rig.Long(t, "a month of virtual time takes a while")
	log := inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "users", storage, time.Hour, true)
		for _, user := range []string{"ann", "bob", "eve"} {
			w.connect(user, user)
		}
		begin := time.Now()
		reloads := 0
		for time.Since(begin) < 10*day {
			time.Sleep(time.Duration(rand.Int64N(int64(8 * time.Minute))))
			now := time.Now()
			keys := []string{"ann"}
			if now.Hour() < 12 {
				keys = append(keys, "bob")
			}
			if now.Weekday() == time.Monday {
				keys = append(keys, "eve")
			}
			w.requests(keys...)
			if int(time.Since(begin)/day) > reloads {
				if reloads++; reloads%7 == 0 {
					w.restart()
				} else {
					w.load()
				}
			}
		}
		w.wantFailures(0)
		t.Logf("%d requests, of which %d have waited; %d redemptions", w.served, w.waited, w.check("ann", "bob", "eve"))
	})
	wantNoErrors(t, log)
}

// TestShortTokens: a day with tokens of five minutes.
func TestShortTokens(t *testing.T) {
	log := inVirtualTime(t, func(t *testing.T, storage string) {
		w := newWorld(t, "short", storage, 5*time.Minute, false)
		w.connect("", "ann")
		begin := time.Now()
		reloads := 0
		for time.Since(begin) < day {
			// The margin is one minute.
			time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Second))))
			w.requests("")
			if int(time.Since(begin)/time.Hour) > reloads {
				if reloads++; reloads%7 == 0 {
					w.restart()
				} else {
					w.load()
				}
			}
		}
		w.wantFailures(0)
		redeemed := w.check("")
		t.Logf("%d requests, of which %d have waited; %d redemptions", w.served, w.waited, redeemed)
		// A restart within a second sends no refresh whose answer it could not wait for, so the
		// first request after it may have to.
		if restarts := reloads / 7; w.waited > restarts || redeemed < 288 || redeemed > 370 {
			t.Errorf("%d requests have waited, %d redemptions, %d restarts", w.waited, redeemed, restarts)
		}
	})
	wantNoErrors(t, log)
}
