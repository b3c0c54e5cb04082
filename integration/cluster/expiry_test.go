// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestExpiries: nodes under load share connections through many expiries, with a provider that
// destroys a grant when it sees a refresh token twice. No refresh token is redeemed twice,
// whatever the storage's locker does, and no request fails.
func TestExpiries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		nodes   int
		storage func(*cluster) func(*node) string
	}{
		{"files", 8, files},
		{"redis", 4, nil},
		{"no locker", 4, trickyFiles(lockNone)},
		{"locker with errors", 3, trickyFiles(lockError)},
		{"locker that keeps", 3, trickyFiles(lockKept)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.storage == nil {
				test.storage = redis(t)
			}
			expiries(t, test.nodes, test.storage)
		})
	}
}

func expiries(t *testing.T, nodes int, storage func(*cluster) func(*node) string) {
	own, all := newAuthority(t, time.Hour, provider.RotateStrict), newAuthority(t, time.Hour, provider.RotateStrict)
	c := newCluster(t, nodes, storage, map[string]*authority{"crm": own, "shared": all})
	c.start(t)
	connections := append(names("crm", 9), "shared")
	own.SetLife(3 * time.Second)
	all.SetLife(3 * time.Second)
	c.connectAll(t, connections)
	records := c.watchRecords(t)
	begin := time.Now()
	load := c.startTraffic(t, connections, 40*time.Millisecond)
	want := number(t, "CLUSTER_EXPIRIES", 100)
	count := func() (int, int) {
		n, good := own.refreshes()
		m, fine := all.refreshes()
		return n + m, good + fine
	}
	rig.Wait(t, "the expiries", 30*time.Second+time.Duration(want)*time.Second, func() bool { _, n := count(); return n >= want })
	took := time.Since(begin)
	load.finish(t, nil)
	requests, good := count()
	t.Logf("%d nodes: %d refreshes of %d connections in %v, by %d token requests", nodes, good, len(connections), took.Round(time.Second), requests)
	own.wantUnharmed(t)
	all.wantUnharmed(t)
	for _, text := range records.behind() {
		t.Error(text)
	}
	if own.refused+all.refused > 0 {
		t.Logf("the API has refused %d requests, which were replayed", own.refused+all.refused)
	}
	for connection, s := range c.nodes[0].states(t) {
		if s.State != "connected" || s.LastError != "" {
			t.Errorf("%s is %+v", connection, s)
		}
	}
}
