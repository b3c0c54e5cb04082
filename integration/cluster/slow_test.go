// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// slowWrites has each write of all nodes take as long.
func (c *cluster) slowWrites(t testing.TB, takes time.Duration) {
	t.Helper()
	for _, n := range c.nodes {
		n.control(t, "slow", takes.String())
	}
}

// TestSlowWrites has a storage with slow writes, and tokens that have expired when a request needs
// them. A node that is alone, also after a restart, has the next token after its writes and the
// time that a claim must settle: it does not wait for other nodes. Two nodes wait, and redeem each
// refresh token once.
func TestSlowWrites(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{400 * time.Millisecond, time.Second} {
		t.Run("one node, "+takes.String(), func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, 2*time.Second, provider.RotateStrict)
			c := newCluster(t, 1, trickyFiles(lockGood), map[string]*authority{"crm": a})
			c.slowWrites(t, takes)
			c.start(t)
			n := c.nodes[0]
			c.connect(t, "crm/u0", n, n)
			// One of the seconds belongs to the claim protocol, and one of the writes is that of
			// the entry after a restart.
			most := 4*takes + 2*time.Second
			for i := range 4 {
				time.Sleep(2 * time.Second)
				if i == 2 {
					n.End(syscall.SIGTERM)
					c.restart(t, n)
				}
				began := time.Now()
				n.wantServed(t, "crm/u0")
				took := time.Since(began)
				if t.Logf("the next token after %.1f s", took.Seconds()); took > most {
					t.Errorf("it took %v, want %v at most", took, most)
				}
			}
			a.wantUnharmed(t)
		})
	}
	t.Run("two nodes", func(t *testing.T) {
		t.Parallel()
		a := newAuthority(t, 8*time.Second, provider.RotateStrict)
		c := newCluster(t, 2, trickyFiles(lockNone), map[string]*authority{"crm": a})
		c.slowWrites(t, time.Second)
		c.start(t)
		c.connect(t, "crm/u0", c.nodes[0], c.nodes[1])
		for range 2 {
			time.Sleep(8 * time.Second)
			var asking sync.WaitGroup
			for i, n := range c.nodes {
				asking.Go(func() {
					time.Sleep(time.Duration(i) * 400 * time.Millisecond)
					began := time.Now()
					n.wantServed(t, "crm/u0")
					t.Logf("node %d has the next token after %.1f s", i, time.Since(began).Seconds())
				})
			}
			asking.Wait()
		}
		a.wantUnharmed(t)
	})
}
