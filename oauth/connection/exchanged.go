// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"time"
)

// Exchanges is what is known of a datasource that has no connections.
type Exchanges struct {
	Status *Status
	Cached int // callers' tokens that are in memory
	Valid  int // those of them that have a valid token
}

// errPerCaller says that no token can be had without a caller.
var errPerCaller = errors.New("each caller's own token is exchanged when the caller asks, so there is nothing to refresh")

// tally returns what metrics say.
func (x Exchanges) tally() Tally {
	t := Tally{Cached: x.Cached, States: map[string]int{StateConnected: x.Valid, StateFailing: 0, StateReauthorize: 0}}
	if x.Status.State == StateFailing {
		t.States[StateFailing] = 1
	}
	return t
}

// exchanged returns the status of a datasource that has no connections.
func exchanged(set *Set) *Status {
	st := set.Exchanges().Status
	st.LastRefusal = lastRefusal(set)
	return st
}

// Exchanged returns the status of a datasource that has no connections: it exchanges each caller's
// own token. succeeded is when the last exchange has, and err is that of the last one if it has
// failed, since a time; refused says that it was the caller's token that the provider has refused,
// which is nobody else's concern.
func Exchanged(datasource, grant string, succeeded, since time.Time, err error, refused bool) *Status {
	st := &Status{
		Datasource: datasource, Grant: grant, State: StateNone, RefreshedAt: pointer(succeeded),
		LastError: words(err), LastDescription: describedBy(err), Remedy: remedyOf(err),
	}
	if err != nil {
		st.LastErrorSince = pointer(since)
	}
	switch {
	case err != nil && !refused:
		st.State = StateFailing
	case !succeeded.IsZero():
		st.State = StateConnected
	}
	st.NeedsAction = !refused && (judge(err) == verdictClient || judge(err).refusal())
	return st
}
