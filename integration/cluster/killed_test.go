// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// death is when a node was killed.
type death struct {
	node string
	at   time.Time
}

// TestNodesKilled kills one node after the other at random and starts it again, under load.
// Requests fail only for connections that are lost. A connection is lost only if its provider is
// strict, and has redeemed a refresh token for a node that was killed before it could store the
// answer.
func TestNodesKilled(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		nodesKilled(t, files)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		nodesKilled(t, redis(t))
	})
}

func nodesKilled(t *testing.T, storage func(*cluster) func(*node) string) {
	sources := make(map[string]*authority)
	var connections []string
	for _, mode := range modes {
		a := newAuthority(t, time.Hour, mode.rotation)
		sources[mode.name] = a
		connections = append(connections, names(mode.name, 5)...)
	}
	c := newCluster(t, 4, storage, sources)
	c.start(t)
	for _, a := range sources {
		a.SetLife(3 * time.Second)
		a.Delay.Store(int64(20 * time.Millisecond))
		// Here the answer is on its way.
		a.intercept(nil, func(string, string) bool { time.Sleep(20 * time.Millisecond); return true })
	}
	c.connectAll(t, connections)
	records := c.watchRecords(t)
	load := c.startTraffic(t, connections, 60*time.Millisecond)
	var deaths []death
	for begin := time.Now(); time.Since(begin) < seconds(t, "CLUSTER_KILL_SECONDS", 25); {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
		n := c.nodes[rand.IntN(len(c.nodes))]
		deaths = append(deaths, death{n.name, time.Now()})
		n.kill()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		c.restart(t, n)
	}
	for _, a := range sources {
		a.intercept(nil, nil)
	}
	time.Sleep(lease + 2*time.Second) // the last claims of the dead end
	lost := make(map[string]bool)
	for connection, s := range c.nodes[0].states(t) {
		if s.State == "connected" {
			continue
		}
		lost[connection] = true
		datasource, _ := split(connection)
		if datasource != "strict" || s.LastError != "lost_in_crash" {
			t.Errorf("%s is lost: %+v", connection, s)
		}
		if !inWindow(sources[datasource].history(connection), deaths) {
			t.Errorf("%s is lost, though nobody was killed between the redemption and the storing: %+v, %+v", connection,
				sources[datasource].history(connection), deaths)
		}
	}
	load.finish(t, func(connection string) bool { return lost[connection] })
	refreshes := 0
	for name, a := range sources {
		_, good := a.refreshes()
		refreshes += good
		a.wantNobodyElses(t)
		if name != "strict" && a.Revoked() > 0 {
			t.Errorf("%d grants of %s were destroyed", a.Revoked(), name)
		}
	}
	for _, text := range records.behind() {
		t.Error(text)
	}
	t.Logf("%d kills, %d refreshes of %d connections, %d lost", len(deaths), refreshes, len(connections), len(lost))
}

// inWindow reports whether the node that was given the last token was killed so soon that it may
// not have stored it.
func inWindow(history []commit, deaths []death) bool {
	slices.Reverse(history)
	for _, c := range history {
		if !c.ok {
			continue
		}
		return slices.ContainsFunc(deaths, func(d death) bool {
			after := d.at.Sub(c.at)
			return d.node == c.node && after > -100*time.Millisecond && after < time.Second
		})
	}
	return false
}
