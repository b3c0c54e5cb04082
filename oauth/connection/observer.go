// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Observer is told what becomes of the connections of a datasource. Its methods must not wait for
// anything: renewals call them.
type Observer interface {
	// Happened is told of an event.
	Happened(Event)

	// Requested is told that a request to the token endpoint has ended, how long it has taken,
	// and its error.
	Requested(took time.Duration, err error)

	// StorageFailed is told that a call of the storage has failed, whatever became of what it was
	// for.
	StorageFailed()
}

// Event is what has happened to a connection. It has no secret in it.
type Event struct {
	Name       string // one of those below
	Datasource string
	Connection string // "" for the shared connection
	Reason     string // a code, as Status.LastError has it; "" where there is nothing to say
}

// The names of events.
const (
	// EventConnected says that somebody has connected an account.
	EventConnected = "connected"

	// EventRefreshed says that this process has got a new token.
	EventRefreshed = "token_refreshed"

	// EventRefreshFailed says that no new token could be had this time.
	EventRefreshFailed = "token_refresh_failed"

	// EventReauthorize says that the account must be connected again.
	EventReauthorize = "reauthorization_required"

	// EventDisconnected says that somebody has disconnected an account.
	EventDisconnected = "disconnected"
)

// silent is the Observer of those who have none.
type silent struct{}

// Happened implements Observer.
func (silent) Happened(Event) {}

// Requested implements Observer.
func (silent) Requested(time.Duration, error) {}

// StorageFailed implements Observer.
func (silent) StorageFailed() {}

// happened tells of an event of a connection. If the configuration of the set has ended, the one
// that runs is told.
func (set *Set) happened(name, connection, reason string) {
	if by := set.pool.successor(set); by != nil {
		by.Observer.Happened(Event{Name: name, Datasource: set.Datasource, Connection: connection, Reason: reason})
	}
}

// tellRenewal tells what became of a renewal, as far as its success has not been told: a token
// that another node has got is that node's to tell.
func tellRenewal(s *Source, err error) {
	if err == nil {
		s.conn.endTold.Store(false)
		return
	}
	if _, human := errors.AsType[*record.AuthorizationError](err); !human {
		s.set.happened(EventRefreshFailed, s.records().store.Connection, words(err))
	}
	if !s.conn.token.Load().Valid(time.Now()) {
		err = s.grant().explain(err)
	}
	tellEnd(s, err)
}

// tellEnd tells once that the account must be connected again, if err says so. That nobody has
// connected one is no event.
func tellEnd(s *Source, err error) {
	e, ok := errors.AsType[*record.AuthorizationError](err)
	if !ok || e.Reason == record.ReasonNotConnected || e.Reason == record.ReasonDisconnected {
		return
	}
	if !s.conn.endTold.Swap(true) {
		s.set.happened(EventReauthorize, s.records().store.Connection, string(e.Reason))
	}
}

// Interface guards
var _ Observer = silent{}
