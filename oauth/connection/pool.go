// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// Pool has the connections of one datasource that are in memory. It outlives reloads: the sets
// of all configurations share it.
type Pool struct {
	mu          sync.RWMutex
	connections index
	spare       []*Connection          // new, without names; see newConnection
	flows       map[string]*redemption // by the ID of the flow
	sets        []*Set                 // of running configurations, the newest last
	first       *Set                   // that was bound first; see Connection.room
	endBy       time.Time              // when everything must have ended; zero: unknown

	tally         tally
	keeper        keeperClock
	kept          atomic.Int64 // when the keeper has ended its last round, in Unix ns; 0: never
	beats         beats
	node          string    // names this process's entry; see presence
	presence      *presence // of the configuration that was bound last
	configuration any       // of which presence is

	unknownKeys atomic.Bool  // there are records that no key here opens
	ends        atomic.Int64 // when Destruct stops waiting, in Unix ns; 0 while in use
}

// pools has the pools of all datasources.
var pools = caddy.NewUsagePool()

// connection returns the connection with a name. limit bounds how many are kept in memory.
func (p *Pool) connection(name string, limit int) *Connection {
	if conn := p.known(name); conn != nil {
		if !conn.used.Load() {
			conn.used.Store(true)
		}
		return conn
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn := p.connections.get(name); conn != nil {
		return conn
	}
	if p.connections.count >= limit {
		p.forget(limit)
	}
	conn := begin(p.newConnection(), name)
	conn.used.Store(true)
	p.connections.put(conn)
	return conn
}

// maxSpare is how many connections are made at once, at most: 64 KiB of them.
const maxSpare = 512

// newConnection returns a connection without a name. With many, they are made many at once, and so
// lie side by side in memory: a request waits for the address of a page as well as for what is
// there, and tokens would lie between connections that are made one by one. p.mu is held.
func (p *Pool) newConnection() *Connection {
	if len(p.spare) == 0 {
		p.spare = make([]*Connection, 1+min(p.connections.count/8, maxSpare-1))
		for i := range p.spare {
			p.spare[i] = new(Connection) // by itself: it ends by itself
		}
	}
	last := len(p.spare) - 1
	conn := p.spare[last]
	p.spare[last] = nil
	p.spare = p.spare[:last]
	return conn
}

// known returns the connection with a name, or nil if it is not in memory.
func (p *Pool) known(name string) *Connection {
	if conn := p.connections.get(name); conn != nil {
		return conn
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.connections.get(name)
}

// TryAgain has renewals that have failed start at once when they are needed: what was wrong may be
// mended. If the provider has asked for patience it has it.
func TryAgain(set *Set) {
	set.pool.mu.RLock()
	all := slices.Collect(set.pool.connections.all())
	set.pool.mu.RUnlock()
	for _, conn := range all {
		conn.clearFailures()
	}
}

// retain puts a connection back that was forgotten while a request still had it: what its
// renewal brings must be known when the process ends.
func (p *Pool) retain(conn *Connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connections.get(conn.name) == nil {
		p.connections.put(conn)
	}
}

// forget drops connections that have not been used lately and in which nothing is under way,
// until there is room for another one. The storage has what they knew. It is the clock algorithm:
// who was used since the hand came by stays. The caller holds mu.
func (p *Pool) forget(limit int) {
	for range 64 {
		conn := p.connections.next()
		if conn == nil || p.connections.count < limit {
			return
		}
		if conn.used.Swap(false) || conn.name == "" || conn.busy() {
			continue
		}
		p.connections.drop()
	}
}

// bind notes that a set is in use.
func (p *Pool) bind(set *Set) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sets = append(p.sets, set)
}

// unbind notes that a set's configuration has ended. Connections that nobody uses now would keep
// it in memory, so they get sources of the newest configuration.
func (p *Pool) unbind(set *Set) {
	p.mu.Lock()
	p.sets = slices.DeleteFunc(p.sets, func(other *Set) bool { return other == set })
	var newest *Set
	var all []*Connection
	if n := len(p.sets); n > 0 {
		newest, all = p.sets[n-1], slices.Collect(p.connections.all())
	}
	p.mu.Unlock()
	for _, conn := range all {
		if s := conn.source.Load(); s != nil && s.set == set {
			sourceIn(newest, conn)
		}
		if set.houses {
			conn.mu.Lock()
			conn.first.ready.clear()
			conn.mu.Unlock()
		}
	}
}

// isFirst reports whether a set belongs to the first configuration that has the pool.
func (p *Pool) isFirst(set *Set) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == nil {
		p.first = set
	}
	return p.first.configuredWith(set)
}

// successor returns set while its configuration runs; once it has ended, the newest set whose
// configuration runs, or nil. An ended configuration may name an old storage or old keys.
func (p *Pool) successor(set *Set) *Set {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch n := len(p.sets); {
	case slices.Contains(p.sets, set):
		return set
	case n == 0:
		return nil
	default:
		return p.sets[n-1]
	}
}

// presenceOf returns the presence in a set's storage. The sets of one configuration share it.
func (p *Pool) presenceOf(set *Set) *presence {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.presence != nil && p.configuration != nil && p.configuration == set.Configuration {
		return p.presence
	}
	if p.node == "" {
		p.node = rand.Text() + ".node"
	}
	storage := record.Bounded{Storage: set.Storage, Slots: set.slots, Failed: set.Observer.StorageFailed}
	p.presence, p.configuration = newPresence(storage, set.Datasource, p.node, &p.beats), set.Configuration
	return p.presence
}
