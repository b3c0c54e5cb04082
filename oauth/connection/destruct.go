// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"time"
)

// destructPatience is how long a process that ends waits at most for what would be lost with it.
const destructPatience = 30 * time.Second

// mustEnd sets by when everything must have ended if no other configuration goes on with the
// connections; zero: destructPatience says.
func (p *Pool) mustEnd(by time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endBy = by
}

// Destruct implements caddy.Destructor: it is called when no configuration uses the connections
// any more. On their way may be answers with refresh tokens that exist nowhere else, and they are
// waited for, but no longer than Caddy waits for requests.
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

// spool leaves what could not be stored for the next process.
func (p *Pool) spool() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var errs []error
	for _, st := range p.connections {
		st.mu.Lock()
		token := st.unsaved
		st.mu.Unlock()
		if token != nil {
			errs = append(errs, st.source.Load().records.store.Leave(token))
		}
	}
	return errors.Join(errs...)
}

// endsIn reports whether nobody will wait for what takes so long.
func (p *Pool) endsIn(d time.Duration) bool {
	ends := p.ends.Load()
	return ends != 0 && time.Now().Add(d).UnixNano() > ends
}

// pending reports whether something is under way that cannot be had again.
func (p *Pool) pending() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, st := range p.connections {
		if st.pending() {
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

// pending reports whether a token is under way, or not stored yet, that a human being has granted.
// One of client_credentials is asked for again.
func (st *Connection) pending() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.operation != nil && st.operation.by.set.Interactive || st.unsaved != nil
}
