// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestTwoPeople has two people with two accounts use one route through three nodes. A node is
// killed in the middle of a refresh, and neither person notices: no request fails, and none waits
// for a lease, because tokens are renewed long before they expire.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		rotation provider.Rotation
		redeemed bool // before the kill
	}{
		{"strict, not yet redeemed", provider.RotateStrict, false},
		{"grace, redeemed", provider.RotateGrace, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			life := 60 * time.Second
			a := newAuthority(t, life, test.rotation)
			c := newCluster(t, 3, files, map[string]*authority{"crm": a})
			c.start(t)
			people := []string{"crm/ann", "crm/bob"}
			begin := time.Now()
			c.connect(t, people[0], c.nodes[0], c.nodes[1])
			time.Sleep(4 * time.Second) // a node that is killed has one refresh under way, not two
			c.connect(t, people[1], c.nodes[1], c.nodes[2])
			var killed atomic.Pointer[node]
			cut := once(false, func(name string) {
				for _, n := range c.nodes {
					if n.name == name {
						n.kill()
						killed.Store(n)
					}
				}
			})
			if test.redeemed {
				a.intercept(nil, cut)
			} else {
				a.intercept(cut, nil)
			}
			load := c.startTraffic(t, people, 100*time.Millisecond)
			rig.Wait(t, "the refresh", life, func() bool { return killed.Load() != nil })
			after := time.Since(begin)
			time.Sleep(3 * time.Second)
			c.restart(t, killed.Load())
			time.Sleep(time.Until(begin.Add(life + 8*time.Second)))
			load.finish(t, nil)
			if slowest := load.took[len(load.took)-1]; slowest > 3*time.Second {
				t.Errorf("a request has taken %v", slowest)
			}
			for _, connection := range people {
				for _, n := range c.nodes {
					n.wantServed(t, connection)
				}
				if s := c.nodes[0].states(t)[connection]; s.State != "connected" || s.Generation != 2 {
					t.Errorf("%s is %+v", connection, s)
				}
			}
			if a.Revoked() != 0 {
				t.Errorf("%d grants were destroyed", a.Revoked())
			}
			a.wantNobodyElses(t)
			t.Logf("%s was killed in the middle of a refresh, %.0f s after the first account was connected", killed.Load().name, after.Seconds())
		})
	}
}
