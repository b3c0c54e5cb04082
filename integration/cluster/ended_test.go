// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// once returns a function for intercept that calls do with the first redemption. answer says
// whether that redemption is answered.
func once(answer bool, do func(node string)) func(connection, node string) bool {
	var done atomic.Bool
	return func(_, node string) bool {
		if done.CompareAndSwap(false, true) {
			do(node)
			return answer
		}
		return true
	}
}

// TestEndsWhileRefreshing tells a node to end while its token request is at the provider. It
// waits for the answer and stores it, so that the node that comes next has a token without asking
// for one.
func TestEndsWhileRefreshing(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 3*time.Second, provider.RotateStrict)
	c := newCluster(t, 2, files, map[string]*authority{"crm": a})
	c.start(t)
	const connection = "crm/u0"
	c.connect(t, connection, c.nodes[0], c.nodes[0])
	asked := make(chan struct{})
	a.intercept(once(true, func(string) {
		a.SetLife(time.Hour)
		close(asked)
		time.Sleep(1500 * time.Millisecond)
	}), nil)
	ask(t, c.nodes[0], connection, asked)
	begin := time.Now()
	c.nodes[0].End(syscall.SIGTERM)
	took := time.Since(begin)
	c.nodes[1].wantServed(t, connection)
	if n := len(a.history(connection)); n != 1 {
		t.Errorf("there were %d refreshes", n)
	}
	c.restart(t, c.nodes[0])
	c.nodes[0].wantServed(t, connection)
	a.wantUnharmed(t)
	t.Logf("told to end with a refresh under way, the node has ended after %v", took.Round(time.Millisecond))
}

// TestEndsWithItsGracePeriod tells a node to end while its token request is at a provider that
// does not answer. It waits for no longer than for requests: that a refresh token is lost then is
// what the operator has chosen, and docs/reliability.md says so.
func TestEndsWithItsGracePeriod(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 3*time.Second, provider.RotateGrace)
	c := newCluster(t, 2, files, map[string]*authority{"crm": a})
	c.grace = time.Second
	c.start(t)
	const connection = "crm/u0"
	c.connect(t, connection, c.nodes[0], c.nodes[0])
	asked := make(chan struct{})
	a.intercept(once(false, func(string) {
		a.SetLife(time.Hour)
		close(asked)
		time.Sleep(2 * c.timeout)
	}), nil)
	ask(t, c.nodes[0], connection, asked)
	begin := time.Now()
	c.nodes[0].End(syscall.SIGTERM)
	if took := time.Since(begin); took < c.grace/2 || took >= c.timeout {
		t.Errorf("it ended after %v", took)
	}
	c.nodes[1].wantServed(t, connection)
	a.wantUnharmed(t)
}

// ask sends requests to a node, without waiting for them, until something has happened.
func ask(t *testing.T, n *node, connection string, happened <-chan struct{}) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 30*time.Second; {
		go func() { _, _, _ = n.get(t.Context(), connection) }()
		select {
		case <-happened:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not refresh %s", n.name, connection)
}

// TestFlowOutlivesItsNode ends or kills the node on which a user has pressed Connect, while the
// user is at the provider. Another node finishes the flow.
func TestFlowOutlivesItsNode(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, time.Hour, provider.RotateStrict)
	c := newCluster(t, 3, files, map[string]*authority{"crm": a, "shared": a})
	c.start(t)
	one, two := c.beginFlow(t, "crm/u0", c.nodes[0]), c.beginFlow(t, "shared", c.nodes[1])
	c.nodes[0].End(syscall.SIGTERM)
	c.nodes[1].End(syscall.SIGKILL)
	c.finishFlow(t, one, c.nodes[2])
	c.finishFlow(t, two, c.nodes[2])
	c.restart(t, c.nodes[0])
	for _, n := range []*node{c.nodes[0], c.nodes[2]} {
		n.wantServed(t, "crm/u0")
		n.wantServed(t, "shared")
	}
	a.wantUnharmed(t)
}

// TestStorageDownUntilTheEnd has a storage that fails from the moment a token has come until the
// node has ended. The node serves the token from memory, and leaves it sealed in a file of the
// machine. It is stored when a node starts there again.
func TestStorageDownUntilTheEnd(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 3*time.Second, provider.RotateStrict)
	c := newCluster(t, 1, trickyFiles(lockGood), map[string]*authority{"crm": a})
	c.start(t)
	n := c.nodes[0]
	const connection = "crm/u0"
	c.connect(t, connection, n, n)
	fresh := make(chan struct{})
	a.SetLife(time.Hour)
	a.intercept(nil, once(true, func(string) {
		n.control(t, "down", "yes")
		close(fresh)
	}))
	ask(t, n, connection, fresh)
	time.Sleep(3500 * time.Millisecond) // the first token has expired
	n.wantServed(t, connection)
	begin := time.Now()
	n.End(syscall.SIGTERM)
	took := time.Since(begin)
	spool := filepath.Join(n.ConfigHome(), "caddy", "authenticated_api_spool")
	left, err := os.ReadDir(spool)
	if err != nil || len(left) != 1 {
		t.Fatalf("%d files are left, %v", len(left), err)
	}
	file := filepath.Join(spool, left[0].Name())
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	a.mu.Lock()
	for token := range a.of {
		if token != "" && strings.Contains(string(raw), token) {
			t.Error("a token stands in the file")
		}
	}
	a.mu.Unlock()
	n.control(t, "down", "")
	c.restart(t, n)
	n.wantServed(t, connection)
	if s := n.states(t)[connection]; s.Generation != 2 || s.State != "connected" {
		t.Errorf("the connection is %+v", s)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the file is still there")
	}
	c.restartEmpty(t, n)
	n.wantServed(t, connection)
	if got := len(a.history(connection)); got != 1 {
		t.Errorf("there were %d refreshes", got)
	}
	a.wantUnharmed(t)
	t.Logf("with a token that cannot be stored, the node has ended after %v", took.Round(time.Millisecond))
}

// restartEmpty ends a node and starts it as on another machine: only the storage is left.
func (c *cluster) restartEmpty(t *testing.T, n *node) {
	t.Helper()
	n.End(syscall.SIGTERM)
	if err := os.RemoveAll(n.ConfigHome()); err != nil {
		t.Fatal(err)
	}
	c.restart(t, n)
}
