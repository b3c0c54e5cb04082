// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"hash/maphash"
	"iter"
	"sync/atomic"
)

// index finds connections by their names. Among a million of them hardly anything is in the
// processor's caches, so what a look-up costs is how many times it waits for memory: here once for
// the slot, and once for the connection, which has its name and all that a request reads in its
// first two cache lines. A map of Go waits for the group, the key's header and the key's bytes as
// well, and needs a lock.
//
// get takes no lock. Whoever changes the index holds a lock, and so does whoever must not miss a
// connection, since get may while others are moved.
type index struct {
	table atomic.Pointer[table]
	count int
	hand  int // where next goes on
}

// table is a hash table with open addressing and linear probing. At least a quarter of its slots
// is empty; their number is a power of two.
type table []slot

// slot is empty if conn is nil. The hash only spares a look into most connections with another
// name: a reader may see a hash that belongs to another connection.
type slot struct {
	hash atomic.Uint64
	conn atomic.Pointer[Connection]
}

// minSlots is the least size of a table.
const minSlots = 8

var nameSeed = maphash.MakeSeed()

// hashOf returns the hash by which a connection's name is known in this process.
func hashOf(name string) uint64 { return maphash.String(nameSeed, name) }

// get returns the connection with a name, or nil.
func (x *index) get(name string) *Connection {
	t := x.table.Load()
	if t == nil {
		return nil
	}
	slots, hash := *t, hashOf(name)
	for i := int(hash); ; i++ { //nolint:gosec // G115: any bits will do
		s := &slots[i&(len(slots)-1)]
		conn := s.conn.Load()
		if conn == nil {
			return nil
		}
		if s.hash.Load() == hash && conn.named(name) {
			return conn
		}
	}
}

// put adds a connection whose name is not there yet.
func (x *index) put(conn *Connection) {
	t := x.table.Load()
	if t == nil || 4*(x.count+1) > 3*len(*t) {
		t = x.resize(2 * (x.count + 1))
	}
	t.put(hashOf(conn.name), conn)
	x.count++
}

func (t table) put(hash uint64, conn *Connection) {
	i := int(hash) & (len(t) - 1)
	for t[i].conn.Load() != nil {
		i = (i + 1) & (len(t) - 1)
	}
	t[i].hash.Store(hash)
	t[i].conn.Store(conn)
}

// resize moves all connections to a table that has so many slots or up to twice as many.
func (x *index) resize(slots int) *table {
	n := minSlots
	for n < slots {
		n *= 2
	}
	larger := make(table, n)
	if old := x.table.Load(); old != nil {
		for i := range *old {
			if conn := (*old)[i].conn.Load(); conn != nil {
				larger.put((*old)[i].hash.Load(), conn)
			}
		}
	}
	x.table.Store(&larger)
	x.hand = 0
	return &larger
}

// next returns the connection that follows the one that it has returned last, in a circle, or nil
// if there is none.
func (x *index) next() *Connection {
	if x.count == 0 {
		return nil
	}
	slots := *x.table.Load()
	for {
		x.hand = (x.hand + 1) & (len(slots) - 1)
		if conn := slots[x.hand].conn.Load(); conn != nil {
			return conn
		}
	}
}

// drop removes the connection that next has returned last.
func (x *index) drop() {
	slots := *x.table.Load()
	gap, mask := x.hand, len(slots)-1
	// What a search would not find behind a gap moves into it.
	for i := (gap + 1) & mask; ; i = (i + 1) & mask {
		conn := slots[i].conn.Load()
		if conn == nil {
			break
		}
		hash := slots[i].hash.Load()
		if home := int(hash) & mask; (i-home)&mask >= (i-gap)&mask {
			slots[gap].hash.Store(hash)
			slots[gap].conn.Store(conn)
			gap = i
		}
	}
	slots[gap].conn.Store(nil)
	x.hand-- // what has moved into the gap has its turn
	if x.count--; len(slots) > minSlots && 16*x.count < len(slots) {
		x.resize(2 * (x.count + 1))
	}
}

// all returns all connections.
func (x *index) all() iter.Seq[*Connection] {
	return func(yield func(*Connection) bool) {
		t := x.table.Load()
		if t == nil {
			return
		}
		for i := range *t {
			if conn := (*t)[i].conn.Load(); conn != nil && !yield(conn) {
				return
			}
		}
	}
}
