// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const day = 24 * time.Hour

// inVirtualTime runs a test in a bubble of virtual time, with a log file, and returns the file.
func inVirtualTime(t *testing.T, test func(t *testing.T, storage string)) (log string) {
	t.Helper()
	g := newGateway(t)
	g.load(t, "respond 200") // for its log
	storage := tempDir(t)
	synctest.Test(t, func(t *testing.T) { test(t, storage) })
	return g.log
}

// wantNoErrors fails the test if something was logged as an error, or as one of a lost or damaged record.
func wantNoErrors(t *testing.T, log string) {
	t.Helper()
	for _, e := range rig.Logged(t, log, "") {
		if e["level"] == "error" {
			t.Errorf("the log says %v", e)
		}
	}
}

// TestMonth: a month of one-hour tokens passes, with a reload each day, a restart each week, and weekends when nobody works,
// and no request fails, none waits but for a token that nobody has needed for a weekend, and no refresh token comes twice.
func TestMonth(t *testing.T) {
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
		if w.waited > 5*14 { // the first ones after a weekend, with the herd that may be around them
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

// TestUsersDays: each user's connection lives a life of its own: ann works all the time, bob in the mornings, eve on Mondays.
func TestUsersDays(t *testing.T) {
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
			time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Second)))) // the margin is a minute
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
		// A restart within a second sends no refresh whose answer it could not wait for, so the first request after it may have to.
		if restarts := reloads / 7; w.waited > restarts || redeemed < 288 || redeemed > 370 {
			t.Errorf("%d requests have waited, %d redemptions, %d restarts", w.waited, redeemed, restarts)
		}
	})
	wantNoErrors(t, log)
}

// TestShortOutages: each day the provider is down for half of the margin, at any time. Nobody notices.
func TestShortOutages(t *testing.T) {
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

// TestOutageWithinMargin: the provider goes down just when a token is to be renewed, and is back a minute before it expires. Nobody
// notices: the back-off, which has grown to five minutes by then, must not sleep over the end of the token.
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

// TestLongOutages: each day the provider is down for longer than the margin. Just those requests fail that come when the token
// has expired and the provider is down, or was a moment ago; they are told when to come again. No grant is lost.
func TestLongOutages(t *testing.T) {
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
