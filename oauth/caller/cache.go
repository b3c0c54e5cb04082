// SPDX-License-Identifier: Apache-2.0

// Package caller keeps the tokens that callers' own tokens were exchanged for (RFC 8693), in
// memory only. A Source has those of one caller's token; a Cache has the sources, found by a
// digest of all that the exchanged token depends on. None outlives the token that it was exchanged
// for.
//
// The package knows no option and no form of a request: Config brings the function that makes one.
package caller

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Key is a digest of all that an exchanged token depends on.
type Key [32]byte

// Subject is the token of a caller.
type Subject struct {
	Token string
	Actor string    // who acts for the caller, if the request says so; "" for none
	End   time.Time // when the token ends; zero: not known
}

// String keeps the tokens out of logs and errors.
func (Subject) String() string { return "[subject]" }

// GoString is String for %#v.
func (s Subject) GoString() string { return s.String() }

// Config is what a configuration says of exchanges.
type Config struct {
	// Exchange exchanges a caller's token.
	Exchange func(context.Context, Subject) (*record.Token, error)

	// Build makes the credential of a token.
	Build func(*record.Token) *auth.Credential

	// Term says how long tokens are used.
	Term record.Term

	// Limit bounds how many sources stay in memory.
	Limit int

	// Changed is told why exchanges fail when they begin to, at most once a minute; and nil when
	// one has succeeded after that, or for the first time. A caller whose token no provider takes
	// changes nothing. nil: nobody is told.
	Changed func(error)

	Logger *zap.Logger
}

// Cache has the sources of a datasource.
type Cache struct {
	Config

	mu      sync.RWMutex
	sources map[Key]*Source
	bytes   int // of their callers' tokens

	health health
}

// New returns an empty cache.
func New(cfg Config) *Cache { return &Cache{Config: cfg, sources: make(map[Key]*Source)} }

// Known returns the source with a key, or nil.
func (c *Cache) Known(key Key) *Source {
	c.mu.RLock()
	s := c.sources[key]
	c.mu.RUnlock()
	if s != nil && !s.used.Load() {
		s.used.Store(true)
	}
	return s
}

// Source returns the source of a caller's token, whose key depends on that token.
func (c *Cache) Source(key Key, subject Subject) *Source {
	if s := c.Known(key); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sources[key]; s != nil {
		return s
	}
	for len(c.sources) > 0 && (len(c.sources) >= c.Limit || c.bytes+subject.bytes() > maxBytes) {
		c.forget()
	}
	s := &Source{cache: c, subject: subject}
	s.used.Store(true)
	c.sources[key] = s
	c.bytes += subject.bytes()
	return s
}

// maxBytes bounds the memory that callers' tokens take, whatever Limit is: anybody can send long
// ones. A hundred thousand tokens of a usual length are within it.
const maxBytes = 256 << 20

// bytes returns the memory that a subject takes.
func (s Subject) bytes() int { return len(s.Token) + len(s.Actor) }

// remove removes a source. The caller holds mu.
func (c *Cache) remove(key Key) {
	c.bytes -= c.sources[key].subject.bytes()
	delete(c.sources, key)
}

// probes is how many sources are looked at to make room for one.
const probes = 64

// forget makes room for another source. Sources without a token go first, since anybody can make
// them by sending anything; then those that nobody has used lately. An iteration over a map of Go
// begins anywhere. The caller holds mu.
func (c *Cache) forget() {
	now, n := time.Now(), 0
	var idle, last Key
	idleFound := false
	for key, s := range c.sources {
		last = key
		if p := s.prepared.Load(); p == nil || !p.token.Valid(now) {
			c.remove(key)
			return
		}
		if !s.used.Swap(false) && !idleFound {
			idle, idleFound = key, true
		}
		if n++; n == probes {
			break
		}
	}
	if idleFound {
		last = idle
	}
	c.remove(last)
}

// Counts returns how many sources are in memory, and how many of them have a valid token.
func (c *Cache) Counts() (cached, valid int) {
	now := time.Now()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.sources {
		if p := s.prepared.Load(); p != nil && p.token.Valid(now) {
			valid++
		}
	}
	return len(c.sources), valid
}
