// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// TestSplitBrain separates the storages of two nodes for a while: both can be written, and neither
// node sees what the other writes. Connections whose refresh token both nodes have redeemed are
// lost, which no client can prevent, and say so. All other connections are as before.
func TestSplitBrain(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 4*time.Second, provider.RotateStrict)
	quiet := newAuthority(t, time.Hour, provider.RotateStrict)
	c := newCluster(t, 2, trickyFiles(lockGood), map[string]*authority{"crm": a, "slow": quiet})
	c.start(t)
	both, left, right, idle := names("crm", 2), "crm/u2", "crm/u3", names("slow", 2)
	all := append(append([]string{left, right}, both...), idle...)
	c.connectAll(t, all)
	for _, connection := range all {
		for _, n := range c.nodes {
			n.wantServed(t, connection)
		}
	}
	private := filepath.Join(c.dir, "private")
	if err := os.CopyFS(private, os.DirFS(c.folder)); err != nil {
		t.Fatal(err)
	}
	c.nodes[1].control(t, "apart", private)
	only := func(n *node, connections ...string) *traffic {
		side := &cluster{nodes: []*node{n}, sources: c.sources}
		return side.startTraffic(t, connections, 50*time.Millisecond)
	}
	// The other side does not redeem a connection that one side uses alone.
	one, two := only(c.nodes[0], append(append([]string{left}, both...), idle...)...), only(c.nodes[1], append(append([]string{right}, both...), idle...)...)
	time.Sleep(seconds(t, "CLUSTER_SPLIT_SECONDS", 60))
	lost := func(connection string) bool { return connection == both[0] || connection == both[1] }
	one.finish(t, lost)
	two.finish(t, lost)
	c.nodes[1].control(t, "apart", "")
	// What the second node has written while it was apart is not in the shared storage until that
	// node reads the record again, or redeems the next refresh token. If the first node needs a
	// token of such a connection before that, it redeems a spent refresh token.
	one, two = only(c.nodes[0], append([]string{left}, idle...)...), only(c.nodes[1], append([]string{right}, idle...)...)
	time.Sleep(11 * time.Second)
	one.finish(t, nil)
	two.finish(t, nil)
	load := c.startTraffic(t, append([]string{left, right}, idle...), 50*time.Millisecond)
	hurt := c.startTraffic(t, both, 50*time.Millisecond)
	time.Sleep(11 * time.Second) // each node reads each record again
	load.finish(t, nil)
	hurt.finish(t, lost)
	t.Logf("%d of 2 grants that both sides have redeemed were destroyed", a.Revoked())
	for _, n := range c.nodes {
		states := n.states(t)
		for _, connection := range all {
			s := states[connection]
			t.Logf("%s says of %s %+v", n.name, connection, s)
			switch {
			case lost(connection) && (s.State != "reauthorization_required" || s.LastError == ""):
				t.Errorf("%s has lost %s, and says %+v", n.name, connection, s)
			case !lost(connection) && s.State != "connected":
				t.Errorf("%s says of %s %+v", n.name, connection, s)
			}
		}
	}
	if a.Revoked() > len(both) || quiet.Revoked() > 0 {
		t.Errorf("%d grants were destroyed", a.Revoked()+quiet.Revoked())
	}
	// The people who have lost a connection connect again, and are served on both sides.
	for i, connection := range both {
		c.connect(t, connection, c.nodes[i], c.nodes[1-i])
		time.Sleep(1500 * time.Millisecond)
		for _, n := range c.nodes {
			n.wantServed(t, connection)
		}
	}
}
