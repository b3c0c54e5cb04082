// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestLoginShared has three nodes share an API's only session: a login ends the session before.
// They log in once for each expiry, and no client sees that sessions end.
func TestLoginShared(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		loginShared(t, files)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		loginShared(t, redis(t))
	})
}

func loginShared(t *testing.T, storage func(*cluster) func(*node) string) {
	const expiries = 3
	a := newNAS(t, 15*time.Second)
	c := newCluster(t, 3, storage, nil)
	c.more = a.route("secret")
	c.start(t)
	var load sync.WaitGroup
	for end := time.Now().Add(expiries*a.life + 5*time.Second); time.Now().Before(end); {
		for _, n := range c.nodes {
			load.Go(func() {
				if status, body, err := n.get(t.Context(), "nas"); err != nil || status != http.StatusOK {
					t.Errorf("%s answers %d %q, %v", n.name, status, body, err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
	}
	load.Wait()
	logins := a.begun()
	if len(logins) < expiries || len(logins) > expiries+2 || a.overlap > 1 {
		t.Errorf("%d logins, %d of them at a time", len(logins), a.overlap)
	}
	for i := 1; i < len(logins); i++ {
		if gap := logins[i].Sub(logins[i-1]); gap < a.life/2 {
			t.Errorf("login %d is %v after the one before", i+1, gap)
		}
	}
}

// TestLoginKilled kills a node in the midst of a login. Another one logs in in its place, within
// the time that a login may take, and the node that is started again uses that session.
func TestLoginKilled(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		loginKilled(t, files)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		loginKilled(t, redis(t))
	})
}

func loginKilled(t *testing.T, storage func(*cluster) func(*node) string) {
	a := newNAS(t, time.Hour)
	c := newCluster(t, 3, storage, nil)
	c.more = a.route("secret")
	c.start(t)
	entered := make(chan bool, 8)
	a.set(func(a *nas) { a.entered = func() { entered <- true } })
	go func() { _, _, _ = c.nodes[0].get(t.Context(), "nas") }()
	<-entered
	c.nodes[0].kill()
	began := time.Now()
	for _, n := range c.nodes[1:] {
		n.wantServed(t, "nas")
	}
	t.Logf("served after %v", time.Since(began).Round(time.Millisecond))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("served after %v", took)
	}
	c.restart(t, c.nodes[0])
	for _, n := range c.nodes {
		n.wantServed(t, "nas")
	}
	if n := len(a.begun()); n != 2 {
		t.Errorf("%d logins", n)
	}
}

// TestLoginRefusedOnce: of a password that the API refuses all nodes know, those too that were
// started since: it is sent once, whoever is asked.
func TestLoginRefusedOnce(t *testing.T) {
	t.Parallel()
	a := newNAS(t, time.Hour)
	c := newCluster(t, 3, files, nil)
	c.more = a.route("wrong")
	c.start(t)
	refused := func() {
		t.Helper()
		for _, n := range c.nodes {
			if status, body, err := n.get(t.Context(), "nas"); err != nil || status != http.StatusBadGateway {
				t.Errorf("%s answers %d %q, %v", n.name, status, body, err)
			}
		}
		if n := len(a.begun()); n != 1 {
			t.Errorf("%d logins", n)
		}
	}
	refused()
	c.nodes[1].kill()
	c.restart(t, c.nodes[1])
	c.reload(t, c.nodes[2])
	refused()
	// The account is mended at the API, and an operator of one node has it tried.
	a.set(func(a *nas) { a.right = "wrong" })
	c.nodes[1].refresh(t, "nas")
	c.nodes[1].wantServed(t, "nas")
	if n := len(a.begun()); n != 2 {
		t.Errorf("%d logins", n)
	}
	// With another password the others do not wait for the end of their back-off.
	a.set(func(a *nas) { a.right = "secret" })
	c.more = a.route("secret")
	for _, n := range c.nodes {
		c.reload(t, n)
		n.wantServed(t, "nas")
	}
	if n := len(a.begun()); n != 3 {
		t.Errorf("%d logins", n)
	}
}
