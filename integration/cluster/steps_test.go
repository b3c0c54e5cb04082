// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// step is where in a refresh a node is killed.
type step struct {
	name string
	hold string // for the tricky storage; see there
	at   string // or where at the provider

	lost    bool          // with a strict provider
	within  time.Duration // the next token must be there
	waiting bool          // and not before a lease is over
}

var steps = []step{
	{name: "before the claim", hold: "before 1", within: 5 * time.Second},
	{name: "claimed", hold: "after 1", within: 6 * time.Second},
	{name: "marked as sent, not sent", hold: "after 2", within: lease + 6*time.Second, waiting: true},
	{name: "at the provider, not redeemed", at: "before", within: lease + 6*time.Second, waiting: true},
	{name: "redeemed, not answered", at: "after", within: lease + 6*time.Second, waiting: true, lost: true},
	{name: "answered, not stored", hold: "before 3", within: lease + 6*time.Second, waiting: true, lost: true},
	{name: "stored", hold: "after 3", within: 4 * time.Second},
}

var modes = []struct {
	name     string
	rotation provider.Rotation
}{{"never", provider.RotateNever}, {"grace", provider.RotateGrace}, {"strict", provider.RotateStrict}}

// stepsBed is a cluster in which node i stops at step i, with one connection of each mode, which
// belongs to user i.
type stepsBed struct {
	*cluster
	stuck   sync.Map // the connections that stand still at the provider
	release chan struct{}
}

// TestKilledAtEachStep kills a node at each step of a refresh, with each kind of provider, and
// asks another node for the next token. A connection is lost only if the provider is strict and
// has redeemed the refresh token for a node that could not store the answer, and then its state
// says so.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	bed := &stepsBed{release: make(chan struct{})}
	sources := make(map[string]*authority)
	for _, mode := range modes {
		a := newAuthority(t, time.Hour, mode.rotation)
		a.SetLife(4 * time.Second)
		a.intercept(func(connection, _ string) bool { return bed.stop("before", connection) },
			func(connection, _ string) bool { return bed.stop("after", connection) })
		sources[mode.name] = a
	}
	bed.cluster = newCluster(t, len(steps)+1, trickyFiles(lockGood), sources)
	bed.start(t)
	for i, s := range steps {
		for _, mode := range modes {
			bed.connect(t, bed.connection(mode.name, i), bed.nodes[i], bed.nodes[i])
		}
		if s.hold != "" {
			bed.nodes[i].control(t, "hold", s.hold)
		}
	}
	bed.strand(t)
	for i := range steps {
		bed.nodes[i].kill()
	}
	for _, a := range sources {
		a.intercept(nil, nil)
	}
	close(bed.release)
	bed.ask(t)
}

func (*stepsBed) connection(mode string, i int) string { return fmt.Sprintf("%s/u%d", mode, i) }

// stop stops the node if this is the connection's step.
func (bed *stepsBed) stop(at, connection string) bool {
	_, user := split(connection)
	var i int
	_, _ = fmt.Sscanf(user, "u%d", &i)
	if i >= len(steps) || steps[i].at != at {
		return true
	}
	bed.stuck.Store(connection, true)
	<-bed.release
	return false
}

// strand sends requests until each node is stopped with each of its connections.
func (bed *stepsBed) strand(t *testing.T) {
	t.Helper()
	var waiting sync.WaitGroup
	for i, s := range steps {
		for _, mode := range modes {
			connection := bed.connection(mode.name, i)
			waiting.Go(func() {
				for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
					_, atProvider := bed.stuck.Load(connection)
					if s.at != "" && atProvider || s.hold != "" && bed.nodes[i].held(mode.name) {
						return
					}
					// Nobody waits for the answer: the token may have expired.
					go func() { _, _, _ = bed.nodes[i].get(t.Context(), connection) }()
				}
				t.Errorf("%s never comes to stand still at %q", connection, s.name)
			})
		}
	}
	waiting.Wait()
}

// ask asks the node that lives for a token of each connection, all at once, and logs what becomes
// of them.
func (bed *stepsBed) ask(t *testing.T) {
	t.Helper()
	survivor := bed.nodes[len(steps)]
	killed := time.Now()
	type outcome struct {
		status int
		body   string
		took   time.Duration
	}
	outcomes := make(map[string]outcome)
	var mu sync.Mutex
	var asking sync.WaitGroup
	for i := range steps {
		for _, mode := range modes {
			connection := bed.connection(mode.name, i)
			asking.Go(func() {
				status, body, err := survivor.get(t.Context(), connection)
				if err != nil {
					body = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				outcomes[connection] = outcome{status, body, time.Since(killed)}
			})
		}
	}
	asking.Wait()
	states := survivor.states(t)
	for i, s := range steps {
		row := make([]string, 0, len(modes))
		for _, mode := range modes {
			connection := bed.connection(mode.name, i)
			got, state := outcomes[connection], states[connection]
			alive := got.status == http.StatusOK && state.State == "connected"
			labelled := got.status == http.StatusUnauthorized && state.State == "reauthorization_required" && state.LastError == "lost_in_crash"
			lost := s.lost && mode.rotation == provider.RotateStrict
			if lost && !labelled || !lost && !alive {
				t.Errorf("killed %s: %s got %d %s and is %+v", s.name, connection, got.status, got.body, state)
			}
			if !lost && got.took > s.within {
				t.Errorf("killed %s: %s has a token after %v", s.name, connection, got.took)
			}
			text := "alive"
			if labelled {
				text = "lost, labelled"
			}
			row = append(row, fmt.Sprintf("%s %s %.1f s", mode.name, text, got.took.Seconds()))
		}
		t.Logf("killed %-30s %s", s.name+":", strings.Join(row, "; "))
	}
	for _, a := range bed.sources {
		a.wantNobodyElses(t)
	}
}
