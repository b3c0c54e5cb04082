// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// TestPaused stops the node that refreshes, as a hypervisor does, while its token request is at
// the provider, and lets it go on later. The other nodes go on in the meantime. Only the
// connection that the node was refreshing may be harmed, and only if the pause was longer than the
// lease.
func TestPaused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		pause    time.Duration
		timeout  time.Duration // of a token request
		rotation provider.Rotation
	}{
		{"5s strict", 5 * time.Second, 10 * time.Second, provider.RotateStrict},
		{"15s strict", 15 * time.Second, 10 * time.Second, provider.RotateStrict},
		{"15s strict beyond the lease", 15 * time.Second, tokenTimeout, provider.RotateStrict},
		{"15s grace beyond the lease", 15 * time.Second, tokenTimeout, provider.RotateGrace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			paused(t, test.pause, test.timeout, test.rotation)
		})
	}
}

func paused(t *testing.T, pause, timeout time.Duration, rotation provider.Rotation) {
	a := newAuthority(t, 4*time.Second, rotation)
	c := newCluster(t, 3, files, map[string]*authority{"crm": a})
	c.timeout = timeout
	c.start(t)
	records := c.watchRecords(t)
	const victim = "crm/u0"
	others := names("crm", 5)[1:]
	c.connectAll(t, append([]string{victim}, others...))
	sleeper := c.nodes[0]
	sleeper.fallAsleep(t, a, victim)
	began := time.Now()
	rest := &cluster{nodes: c.nodes[1:], sources: c.sources}
	load := rest.startTraffic(t, append([]string{victim}, others...), 50*time.Millisecond)
	time.Sleep(pause)
	sleeper.Signal(syscall.SIGCONT)
	time.Sleep(6 * time.Second)
	awake := c.startTraffic(t, others, 50*time.Millisecond) // the sleeper takes part again
	time.Sleep(2 * time.Second)
	awake.finish(t, nil)
	lost := a.Revoked()
	load.finish(t, func(connection string) bool { return connection == victim && lost > 0 })
	here := c.nodes[1].states(t)[victim]
	own := c.nodes[0].states(t)[victim]
	t.Logf("paused for %v (lease %v): %d grants destroyed, the connection is %+v, by the sleeper %+v, after %v", pause, timeout+leaseMore, lost, here, own,
		time.Since(began).Round(time.Second))
	a.wantNobodyElses(t)
	// The sleeper's late answer must not take the place of what has been stored meanwhile.
	for _, text := range records.wentBack() {
		t.Error(text)
	}
	for _, other := range others {
		if s := c.nodes[1].states(t)[other]; s.State != "connected" {
			t.Errorf("%s is %+v", other, s)
		}
	}
	switch {
	case lost == 0 && here.State == "connected":
		if rotation == provider.RotateStrict && a.twice() != 0 {
			t.Error("a refresh token was redeemed twice")
		}
	case lost == 1 && pause > timeout+leaseMore && rotation == provider.RotateStrict:
		for _, s := range []state{here, own} {
			if s.State != "reauthorization_required" || s.LastError != "lost_in_crash" {
				t.Errorf("the connection is lost, and %+v", s)
			}
		}
	default:
		t.Errorf("%d grants are destroyed, and the connection is %+v", lost, here)
	}
}

// fallAsleep has a node refresh a connection, and stops it when its token request is at the
// provider. The request is answered in the meantime.
func (n *node) fallAsleep(t *testing.T, a *authority, connection string) {
	t.Helper()
	asleep := make(chan struct{})
	stop := once(true, func(string) {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		close(asleep)
	})
	a.intercept(func(of, node string) bool { return of != connection || stop(of, node) }, nil)
	ask(t, n, connection, asleep)
}

// TestDisconnectedWhilePaused disconnects an account on one node while another node is stopped and
// has a new token of that account on its way. When the stopped node goes on, it must not bring the
// connection back.
func TestDisconnectedWhilePaused(t *testing.T) {
	t.Parallel()
	const connection = "crm/u0"
	a := newAuthority(t, 4*time.Second, provider.RotateNever)
	c := newCluster(t, 2, files, map[string]*authority{"crm": a})
	c.start(t)
	c.connect(t, connection, c.nodes[1], c.nodes[1])
	a.SetLife(4 * time.Second)
	c.nodes[0].fallAsleep(t, a, connection)
	a.SetLife(time.Hour)
	// This waits until the lease of the paused node's claim has expired.
	c.nodes[1].act(t, connection, "disconnect", newJar())
	gone := time.Now()
	c.nodes[0].Signal(syscall.SIGCONT)
	time.Sleep(2 * time.Second)
	for time.Since(gone) < 14*time.Second {
		for _, n := range c.nodes {
			status, body, err := n.get(t.Context(), connection)
			if err != nil || status != http.StatusUnauthorized {
				t.Fatalf("%v after it was disconnected, %s answers %d %q, %v", time.Since(gone).Round(time.Second), n.name, status, body, err)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}
