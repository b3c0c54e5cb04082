// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestDisconnected disconnects an account on one node. The other nodes stop using it within 30
// seconds, whether they get many requests, few, or one. When the account is connected again on one
// node, the other nodes serve it at once.
func TestDisconnected(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Hour, provider.RotateStrict)
	c := newCluster(t, 5, files, map[string]*authority{"crm": a, "shared": a})
	c.start(t)
	for _, connection := range []string{"crm/u0", "shared"} {
		t.Run(connection, func(t *testing.T) {
			t.Parallel()
			disconnected(t, c, connection)
		})
	}
}

func disconnected(t *testing.T, c *cluster, connection string) {
	c.connect(t, connection, c.nodes[0], c.nodes[1])
	for _, n := range c.nodes {
		n.wantServed(t, connection)
	}
	c.nodes[0].act(t, connection, "disconnect", newJar())
	gone := time.Now()
	status, _, _ := c.nodes[0].get(t.Context(), connection)
	if status == http.StatusOK {
		t.Error("the node on which it was disconnected goes on")
	}
	var others sync.WaitGroup
	for i, every := range []time.Duration{100 * time.Millisecond, 7 * time.Second, 14900 * time.Millisecond, 29800 * time.Millisecond} {
		n := c.nodes[i+1]
		others.Go(func() {
			served := time.Duration(0)
			for {
				time.Sleep(every)
				began := time.Since(gone)
				status, body, err := n.get(t.Context(), connection)
				switch {
				case err != nil:
					t.Errorf("%s: %v", n.name, err)
					return
				case status == http.StatusUnauthorized || status == http.StatusServiceUnavailable:
					t.Logf("a request each %v: the last served after %.1f s, the first refused after %.1f s", every, served.Seconds(), began.Seconds())
					return
				case status != http.StatusOK:
					t.Errorf("%s answers %d %q", n.name, status, body)
					return
				case began > 30*time.Second:
					t.Errorf("%s, with a request each %v, goes on after %v", n.name, every, began)
					return
				}
				served = began
			}
		})
	}
	others.Wait()
	c.connect(t, connection, c.nodes[3], c.nodes[4])
	again := time.Now()
	for _, n := range c.nodes {
		rig.Wait(t, n.name, 5*time.Second, func() bool {
			status, _, err := n.get(t.Context(), connection)
			return err == nil && status == http.StatusOK
		})
		t.Logf("connected again, %s serves it within %v", n.name, time.Since(again).Round(time.Millisecond))
	}
	if took := time.Since(again); took > 3*time.Second {
		t.Errorf("the last node serves after %v", took)
	}
}
