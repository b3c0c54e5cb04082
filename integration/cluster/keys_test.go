// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestKeysExchanged replaces the key of three nodes under load, one node after the other: the new
// key comes second, then first, then alone. No request fails, and no connection is lost, whether
// it is in use or not.
func TestKeysExchanged(t *testing.T) {
	t.Parallel()
	a, slow := newAuthority(t, time.Hour, provider.RotateStrict), newAuthority(t, time.Hour, provider.RotateStrict)
	c := newCluster(t, 3, files, map[string]*authority{"crm": a, "slow": slow})
	c.start(t)
	a.SetLife(3 * time.Second)
	used, idle := names("crm", 6), names("slow", 6)
	c.connectAll(t, slices.Concat(used, idle))
	before, fresh := c.nodes[0].keys[0], seal.NewKey()
	load := c.startTraffic(t, used, 50*time.Millisecond)
	records := func() (n int) {
		_ = filepath.WalkDir(filepath.Join(c.folder, "authenticated_api"), func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.Contains(filepath.Base(file), ".") {
				n++
			}
			return nil
		})
		return n
	}
	for _, keys := range [][]string{{before}, {before, fresh}, {fresh, before}, {fresh}} {
		for _, n := range c.nodes {
			n.keys = keys
			c.reload(t, n)
			time.Sleep(700 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		rig.Wait(t, "the records to be moved", 20*time.Second, func() bool { return records() == len(used)+len(idle) })
	}
	load.finish(t, nil)
	a.wantUnharmed(t)
	slow.wantUnharmed(t)
	for _, n := range c.nodes {
		for _, connection := range slices.Concat(used, idle) {
			n.wantServed(t, connection)
		}
		if states := n.states(t); len(states) != len(used)+len(idle) {
			t.Errorf("%s knows %d connections", n.name, len(states))
		}
	}
	requests, _ := a.refreshes()
	t.Logf("%d refreshes meanwhile", requests)
	if idle, _ := slow.refreshes(); idle != 0 {
		t.Errorf("%d refreshes of connections that nobody used", idle)
	}
}
