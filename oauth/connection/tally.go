// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"slices"
	"sync"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Tally is what metrics say of a datasource's connections. It is made without asking the storage.
type Tally struct {
	// Cached is how many connections are in memory.
	Cached int

	// States has how many connections are in each state.
	States map[string]int

	// Expiry is when the token of the shared connection expires; zero if that is not known.
	Expiry time.Time
}

// Tally returns what is known of the connections of the datasource.
func (set *Set) Tally() Tally {
	if set.Exchanges != nil {
		return set.Exchanges().tally()
	}
	t := Tally{States: map[string]int{StateConnected: 0, StateFailing: 0, StateReauthorize: 0}}
	counted := set.pool.tally.count()
	if set.PerUser {
		for state := range t.States {
			t.States[state] = counted[state]
		}
		t.Cached = set.pool.size() - 1 // without the shared one, which nobody uses
		return t
	}
	t.States[StateNone] = 0
	token := set.shared.conn.token.Load()
	if token != nil && token.Access != "" {
		t.Cached, t.Expiry = 1, token.Expiry
	}
	t.States[sharedState(set, token, counted)] = 1
	return t
}

// sharedState returns the state of the shared connection. token is what memory has of it, and
// counted are the states that a round has found.
func sharedState(set *Set, token *record.Token, counted map[string]int) string {
	failed := set.shared.conn.failure()
	state := set.stateOf(token, failed)
	if token != nil || state != StateNone {
		return state
	}
	if words(failed.err) != "" && time.Since(failed.next) < staleFailure {
		return StateFailing // what is stored cannot be read, so there may be an account
	}
	for stored := range counted {
		state = stored // nobody has used the connection yet
	}
	return state
}

// tally knows the states of connections, those in memory and those in the storage. The keeper's
// rounds look at all of them, and this process says what it does to one in between. The names are
// kept as hashes and the states as bytes, since there may be a million of them.
type tally struct {
	mu     sync.Mutex
	states map[uint64]tallied
	round  *tallyRound // that is under way, or nil
}

// tallyRound is what a round has found so far.
type tallyRound struct{ states map[uint64]tallied }

// tallied is a state, as its place in tallyStates.
type tallied uint8

// tallyStates are all states. The first stands for none.
var tallyStates = [...]string{"", StateNone, StateConnected, StateFailing, StateReauthorize}

func talliedAs(state string) tallied { return tallied(slices.Index(tallyStates[:], state)) }

// begin begins a round.
func (t *tally) begin() *tallyRound {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round = &tallyRound{make(map[uint64]tallied)}
	return t.round
}

// found notes the state in which a round has found a connection. If this process has said
// something of the connection since the round began, that counts.
func (t *tally) found(r *tallyRound, connection, state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key := hashOf(connection); r.states[key] == 0 {
		r.states[key] = talliedAs(state)
	}
}

// finish takes over what a round has found.
func (t *tally) finish(r *tallyRound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states = r.states
	if t.round == r {
		t.round = nil
	}
}

// note notes the state of a connection, of which this process knows.
func (t *tally) note(connection, state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.states == nil {
		t.states = make(map[uint64]tallied)
	}
	t.states[hashOf(connection)] = talliedAs(state)
	if t.round != nil {
		t.round.states[hashOf(connection)] = talliedAs(state)
	}
}

// count returns how many connections are in each state but StateNone.
func (t *tally) count() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := make(map[string]int)
	for _, code := range t.states {
		if state := tallyStates[code]; state != StateNone {
			n[state]++
		}
	}
	return n
}

// size returns how many connections are in memory.
func (p *Pool) size() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.connections.count
}

// stateInMemory returns the state of a connection, as memory knows it.
func stateInMemory(s *Source) string {
	return s.set.stateOf(s.conn.token.Load(), s.conn.failure())
}

// stateOf returns the state of a connection with a token, after the last failures.
func (set *Set) stateOf(token *record.Token, failed failure) string {
	return set.status("", token, failed).State
}

// stateStored returns the state of the connection of a record. What is in memory counts more.
func (set *Set) stateStored(connection string, stored *record.Token) string {
	if conn := set.pool.known(connection); conn.current() != nil {
		return set.stateOf(conn.current(), conn.failure())
	}
	return set.stateOf(stored, failure{})
}
