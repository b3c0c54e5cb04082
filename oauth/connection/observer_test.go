// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// diary is an Observer that keeps events as name and reason.
type diary struct {
	silent

	mu     sync.Mutex
	events []string
}

// Happened implements Observer.
func (d *diary) Happened(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e.Name+" "+e.Reason)
}

// want compares the events since it was called last.
func (d *diary) want(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait() // whoever waits for an operation may go on before its event is told
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.events, want) {
		t.Errorf("%s: the events are %q, want %q", what, d.events, want)
	}
	d.events = nil
}

// observe has the events of a node kept.
func (n *node) observe() *diary {
	d := new(diary)
	n.set.Observer = d
	return d
}

// TestEventsOfRefusals: a refusal while the token is valid is a failure; the end of the grant is
// told once, with its reason, and the state is that of the event.
func TestEventsOfRefusals(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		d := n.observe()
		w.p.decide(func(int) fate { return fate{err: errInvalidGrant} })
		if err := n.Renew(t.Context()); err == nil {
			t.Error("the renewal has succeeded")
		}
		d.want(t, "an early refusal", "token_refresh_failed invalid_grant")
		if got := n.set.Tally().States; got[StateConnected] != 1 { // it is served still
			t.Errorf("after an early refusal the states are %v", got)
		}
		time.Sleep(w.p.life + time.Hour)
		for range 3 {
			if _, err := n.Credential(t.Context()); err == nil {
				t.Error("there is a credential after the end")
			}
		}
		d.want(t, "the end", "reauthorization_required revoked")
		if got := n.set.Tally().States; got[StateReauthorize] != 1 || got[StateConnected] != 0 {
			t.Errorf("after the end the states are %v", got)
		}
	})
}

// TestEventsOfNodes: the node that has renewed a token tells of it, and no other one; a provider
// that is down is told of with each attempt.
func TestEventsOfNodes(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		first, second := nodes[0].observe(), nodes[1].observe()
		if err := nodes[0].Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		first.want(t, "the node that renews", "token_refreshed ")
		time.Sleep(w.p.life / 2)
		if _, err := nodes[1].Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		second.want(t, "the other node")
		w.p.decide(func(int) fate { return fate{err: &provider.Error{Host: "p", Status: 503, Delivery: provider.Answered}} })
		if err := nodes[1].Renew(t.Context()); err == nil {
			t.Error("the renewal has succeeded")
		}
		second.want(t, "a provider that is down", "token_refresh_failed status_503")
	})
}
