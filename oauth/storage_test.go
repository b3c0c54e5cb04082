// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestHungStorage: a storage hangs for an hour, and knows no contexts. Users with a valid token are served at once all the time, and what
// hangs does not become more and more. When it works again so does everything.
func TestHungStorage(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, func(m *Method) {
			m.Connection = "{http.auth.user.id}"
			m.environment.CacheSize = 10_000 // or ann would be forgotten, and must be read again
		})
		g.connect(t, "ann", "good")
		works := make(chan struct{})
		w.disk.failWith(func(context.Context, string, string) error { <-works; return nil })
		before := runtime.NumGoroutine()
		for minute := range 60 {
			for range 60 {
				time.Sleep(time.Second)
				begin := time.Now()
				if got, err := g.serves(t, "ann"); err != nil || time.Since(begin) > lookPatience {
					t.Fatalf("minute %d: %s, %v after %v", minute, got, err, time.Since(begin))
				}
			}
			for i := range 100 {
				go g.serves(t, "unknown"+strconv.Itoa(100*minute+i))
			}
		}
		if more := runtime.NumGoroutine() - before; more > 2*maxUses {
			t.Errorf("%d goroutines more", more)
		}
		w.disk.failWith(nil)
		close(works)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(g.places); n != 0 {
			t.Errorf("%d uses are under way", n)
		}
		g.connect(t, "bob", "good-bob")
		if got, err := g.serves(t, "bob"); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}
