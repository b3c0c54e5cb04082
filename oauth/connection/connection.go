// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Connection is what this process knows of a connection. It outlives reloads. Its fields belong
// to no configuration, except source and first.
//
// There may be a million of them, of which a request needs one that no cache of the processor has.
// So it has little but what all requests read, in 128 bytes, which is a size that the allocator
// has: close together they take few pages of memory, whose addresses are waited for too.
type Connection struct {
	short  shortName
	source atomic.Pointer[Source]       // the newest source. It belongs to one configuration
	token  atomic.Pointer[record.Token] // in use; nil while nothing is known

	// recheckAt is when the record is read again, in Unix nanoseconds, because another node may
	// have written it. It is 0 for client_credentials, whose records nobody waits for.
	recheckAt atomic.Int64

	used    atomic.Bool // since the pool last looked for connections to forget
	endTold atomic.Bool // that the account must be connected again; see tellEnd

	first Source // room for the source of the first configuration
	*upkeep
}

// upkeep is what few requests read of a connection.
type upkeep struct {
	mu       sync.Mutex  // guards operation and what follows it
	housed   atomic.Bool // that a source is in first
	recorded recorded    // of first

	// notBefore is the time of the next renewal in Unix nanoseconds, or the far future while an
	// operation is under way. Requests whose token is valid and near its end read it, so that they
	// need not take mu.
	notBefore atomic.Int64

	// storing is held while the record is read, which may move the record, and while it is
	// written.
	storing turn
	seen    moment // since when the token is known; storing guards it

	operation     *operation    // the work that is under way, such as a renewal; or nil
	rechecking    *operation    // the reading of the record that is under way; or nil
	unsaved       *record.Token // a token that the storage does not have yet
	troubles      *trouble      // nil while there are none
	owner         string        // names this process in claims
	connectedHere string        // the grant that this process has connected

	name string // constant; "" for the shared connection
}

// begin gives a new connection its name, and the room for its upkeep.
func begin(c *Connection, name string) *Connection {
	// A request's name may be part of something longer, which would stay in memory with it.
	c.upkeep = &upkeep{name: strings.Clone(name)}
	c.short.set(name)
	return c
}

// shortName is a name, if that has less than 40 bytes, and the number of its bytes. Behind a
// pointer it would have to be waited for.
type shortName [40]byte

// long stands in the place of the number if the name is not here.
const long = 255

func (s *shortName) set(name string) {
	if len(name) >= len(s) {
		s[len(s)-1] = long
		return
	}
	copy(s[:], name)
	s[len(s)-1] = byte(len(name))
}

// named reports whether the connection has a name.
func (c *Connection) named(name string) bool {
	if n := int(c.short[len(c.short)-1]); n < len(c.short) {
		return string(c.short[:n]) == name
	}
	return c.name == name
}

// room returns room for a source. That of the first configuration is beside what else a request
// reads. What is there keeps its configuration in memory as long as the connection lives, so no
// other configuration's is there: at most one that has ended stays.
func (c *Connection) room(set *Set) *Source {
	if set.houses && c.housed.CompareAndSwap(false, true) {
		c.first.recorded = &c.upkeep.recorded
		return &c.first
	}
	return &Source{recorded: new(recorded)}
}

// current returns the token in use, or nil.
func (c *Connection) current() *record.Token {
	if c == nil {
		return nil
	}
	return c.token.Load()
}

// secrets returns the tokens in use.
func (c *Connection) secrets() []string { return c.current().Secrets() }

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// noteGrant notes the grant that this process connects, or "" if another grant counts.
func (c *Connection) noteGrant(grant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connectedHere = grant
}

// owing reports whether a token is not stored yet.
func (c *Connection) owing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaved != nil
}

// claimant returns the owner that claims of this process have.
func (c *Connection) claimant() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == "" {
		c.owner = rand.Text()
	}
	return c.owner
}

// busy reports whether work is under way, or a token unsaved, so that the connection must stay
// in memory.
func (c *Connection) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.operation != nil || c.rechecking != nil || c.unsaved != nil
}

// inUse returns the token in memory if it is the token of the record stored, and stored
// otherwise. The end of the token in memory is counted by a clock that nobody sets, and this
// process alone may know that the API and the provider have refused it.
func (c *Connection) inUse(stored *record.Token) *record.Token {
	if token := c.token.Load(); token != nil && token.Generation == stored.Generation && token.Access == stored.Access {
		return token
	}
	return stored
}
