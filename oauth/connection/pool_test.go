// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"
	"weak"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestUsersApart: names that a file system, or Unicode, might take for one have records of their
// own.
func TestUsersApart(t *testing.T) {
	bubble(t, &issuer{life: time.Hour}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, perUser)
		users := []string{
			"Alice", "alice", "a/b", "ab", "a\\b", "日本", "日本 ", "../crm", "%2e", "é", "e\u0301", "a:b", "nul", "", "x\x00y", "x",
		}
		for i, user := range users {
			if user != "" {
				g.connect(t, user, fmt.Sprint("good-", i))
			}
		}
		if n := w.disk.Count(); n != len(users)-1 {
			t.Fatalf("%d records for %d users", n, len(users)-1)
		}
		after := w.gateway(&web{p: w.p}, perUser)
		for i, user := range users {
			if user == "" {
				continue // the empty name is the shared connection, which there is none of
			}
			if got, err := after.serves(t, user); got != fmt.Sprint("of-good-", i) {
				t.Errorf("%q is sent with %s, %v", user, got, err)
			}
		}
	})
}

// TestCacheSize: memory is bounded, and what must not be lost is not dropped.
func TestCacheSize(t *testing.T) {
	const limit = 1000
	c := new(Pool)
	busy := []*Connection{c.connection("operation", limit), c.connection("looking", limit), c.connection("unsaved", limit)}
	busy[0].operation, busy[1].rechecking, busy[2].unsaved = new(operation), new(operation), new(record.Token)
	shared := c.connection("", limit)
	most := 0
	for i := range manyUsers {
		c.connection(strconv.Itoa(i), limit)
		most = max(most, c.size())
	}
	if most > limit+limit/10 {
		t.Errorf("%d states at a time", most)
	}
	for i, key := range []string{"operation", "looking", "unsaved", ""} {
		if st := c.known(key); st == nil || i < 3 && st != busy[i] || i == 3 && st != shared {
			t.Errorf("%q was dropped", key)
		}
	}
	// After a time in which nothing could be dropped, or with a smaller limit, it shrinks again.
	for i := range 1000 {
		c.connection("more"+strconv.Itoa(i), limit/10)
	}
	if n := c.size(); n > limit/10+70 {
		t.Errorf("%d states with the smaller limit", n)
	}
}

// TestReloadOfUsers: a new configuration may have mended what was wrong, so users' connections are
// tried again at once, too.
func TestReloadOfUsers(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		g := w.gateway(s, perUser)
		g.connect(t, "ann", "good")
		w.p.fate = func(int) fate {
			return fate{err: &provider.Error{Status: http.StatusUnauthorized, Code: "invalid_client"}}
		}
		for range 300 {
			time.Sleep(time.Second)
			_, _ = g.serves(t, "ann")
		}
		w.p.fate = nil
		again := w.gateway(s, perUser)
		again.pool = g.pool
		if got, err := again.serves(t, "ann"); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}

// TestPoolEndedConfigurations: of the configurations that have ended the first may stay in memory,
// whether or not their connections are used since, and what it had ready to be sent does not.
func TestPoolEndedConfigurations(t *testing.T) {
	w := newWorld(t, &issuer{life: time.Hour}, nil)
	p := new(Pool)
	var sets []weak.Pointer[Set]
	var credential weak.Pointer[auth.Credential]
	var last *Set
	for i := range 10 {
		set := p.NewSet(w.gateway(&web{p: w.p}, perUser).Config)
		for j := i % 2 * i; j <= i; j++ { // every second configuration has one user, and the others have all
			idleUser(t, set.Source(strconv.Itoa(j)), j)
		}
		if i == 0 {
			credential = weak.Make(set.Source("0").Current())
		}
		if last != nil {
			p.unbind(last)
		}
		last = set
		sets = append(sets, weak.Make(set))
	}
	runtime.GC()
	runtime.GC()
	for i, set := range sets[1 : len(sets)-1] {
		if set.Value() != nil {
			t.Errorf("configuration %d is in memory", i+1)
		}
	}
	if credential.Value() != nil {
		t.Error("a credential of the first configuration is in memory")
	}
	for i := range 10 {
		if s := p.known(strconv.Itoa(i)).source.Load(); s.set != last {
			t.Errorf("the source of %d is of an ended configuration", i)
		}
	}
	runtime.KeepAlive(last)
}
