// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"time"
)

// destructPatience is the longest that a process which ends waits for what would be lost with it.
const destructPatience = 30 * time.Second

// mustEnd sets the time by which everything must have ended, if no other configuration goes on
// with the connections. The zero time leaves that to destructPatience.
func (p *Pool) mustEnd(by time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endBy = by
}

// Destruct implements caddy.Destructor: Caddy calls it when no configuration uses the
// connections any more. Answers with refresh tokens that exist nowhere else may be on their way,
// so Destruct waits for them, but no longer than Caddy waits for requests.
func (p *Pool) Destruct() error {
	p.mu.RLock()
	end := p.endBy
	p.mu.RUnlock()
	if latest := time.Now().Add(destructPatience); end.IsZero() || end.After(latest) {
		end = latest
	}
	p.ends.Store(end.UnixNano())
	for p.pending() && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	p.ends.Store(min(end.UnixNano(), time.Now().UnixNano()))
	err := p.spool()
	if p.presence != nil && !p.pending() {
		p.presence.leave()
	}
	return err
}

// spool leaves unsaved tokens in the spool for the next process.
func (p *Pool) spool() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var errs []error
	for conn := range p.connections.all() {
		conn.mu.Lock()
		token := conn.unsaved
		conn.mu.Unlock()
		if token != nil {
			errs = append(errs, conn.source.Load().records().store.Leave(token))
		}
	}
	return errors.Join(errs...)
}

// endsIn reports whether the process will have ended after a time.
func (p *Pool) endsIn(d time.Duration) bool {
	ends := p.ends.Load()
	return ends != 0 && time.Now().Add(d).UnixNano() > ends
}

// pending reports whether something is under way that cannot be repeated.
func (p *Pool) pending() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for conn := range p.connections.all() {
		if conn.pending() {
			return true
		}
	}
	for _, r := range p.flows {
		select {
		case <-r.done:
		default:
			return true // a code was sent
		}
	}
	return false
}

// pending reports whether a token that a person has granted is under way, or not stored yet. A
// token of client_credentials does not count: the gateway can ask for it again.
func (c *Connection) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.operation != nil && c.operation.by.set.Interactive || c.unsaved != nil
}
