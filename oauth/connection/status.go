// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// The states of a connection.
const (
	// StateConnected says that the connection is in use.
	StateConnected = "connected"

	// StateReauthorize says that the account must be connected again.
	StateReauthorize = "reauthorization_required"

	// StateNone says that nobody has connected an account, or that the account was disconnected.
	StateNone = "not_connected"
)

// Status is what people and programs may know of a connection. It has no secret in it.
type Status struct {
	Datasource string `json:"datasource"`

	// Connection is a value of the option connection. It is empty for the shared connection.
	Connection string `json:"connection,omitempty"`

	Grant      string `json:"grant"`
	State      string `json:"state"`
	Generation uint64 `json:"generation"`

	// ConnectedAt is when the account was connected; nil for client_credentials.
	ConnectedAt *time.Time `json:"connected_at,omitempty"`

	// ExpiresAt is when the access token expires; nil if that is not known.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	// RefreshedAt is when the access token was issued.
	RefreshedAt *time.Time `json:"refreshed_at,omitempty"`

	// Renewable says that the gateway can get a new token without a person.
	Renewable bool `json:"-"`

	// LastError is an OAuth error code or a few fixed words, never a provider's text.
	LastError string `json:"last_error"`

	// LastDescription is the provider's text about LastError, for operators; see provider.Error.
	LastDescription string `json:"last_error_description,omitempty"`
}

// Status returns what memory and storage know of the connection.
func (s *Source) Status(ctx context.Context) (*Status, error) {
	if !s.set.Interactive {
		token := s.conn.token.Load()
		if token == nil {
			var err error
			if token, err = s.records.load(ctx); err != nil {
				return nil, err
			}
		}
		return s.set.status(s.records.store.Connection, token, s.conn.lastError()), nil
	}
	token, err := s.records.latest(ctx)
	if token == nil && err != nil {
		return nil, err
	}
	if current := s.conn.token.Load(); current != nil && current.Is(token) {
		// This process alone may know that the token has ended.
		token = current.With(func(t *record.Token) { t.Refused = token.Refused })
	}
	// If the storage fails, the token in memory counts: requests are served with it.
	return s.set.status(s.records.store.Connection, token, s.conn.lastError()), nil
}

// lastError returns the error of the last renewal, or nil.
func (c *Connection) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// status returns the status of a connection with a token. err is its last error.
func (set *Set) status(connection string, token *record.Token, err error) *Status {
	st := &Status{Datasource: set.Datasource, Connection: connection, Grant: set.Grant, State: StateNone, LastError: words(err), LastDescription: describedBy(err)}
	if token == nil {
		return st
	}
	st.Generation, st.Renewable = token.Generation, !set.Interactive || token.Redeemable()
	st.ConnectedAt, st.RefreshedAt, st.ExpiresAt = pointer(token.Connected), pointer(token.Obtained), pointer(token.Expiry)
	now := time.Now()
	finished, _ := errors.AsType[*record.AuthorizationError](token.Finished())
	refused := judge(err).refusal()
	if err == nil && token.Refused != nil { // another process, or an earlier one, has heard it
		refused, st.LastError, st.LastDescription = true, token.Refused.Code, token.Refused.Description
	}
	switch {
	case token.Access == "" && token.End.Reason != record.ReasonDamaged:
		st.ConnectedAt, st.LastError, st.LastDescription = nil, "", ""
	case !set.Interactive || token.Redeemable() && (token.Valid(now) || !refused):
		st.State = StateConnected
	case token.End.Reason == "" && token.Valid(now):
		st.State = StateConnected // without a refresh token, but good until it expires
	default:
		st.State = StateReauthorize
		if finished != nil {
			st.LastError, st.LastDescription = cmp.Or(finished.Code, string(finished.Reason)), finished.Description
			if finished.Reason == record.ReasonLost {
				st.LastError = string(finished.Reason)
			}
		}
	}
	return st
}

// describedBy returns the provider's text about an error, or "".
func describedBy(err error) string {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Description
	}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok && words(err) != "" {
		return e.Description
	}
	return ""
}

// words returns the code of an error, as LastError has it.
func words(err error) string {
	switch e, ok := errors.AsType[*provider.Error](err); {
	case err == nil:
		return ""
	case ok && e.Code != "":
		return e.Code
	case ok && e.Status != 0:
		return "status_" + strconv.Itoa(e.Status)
	case ok:
		return "no_answer"
	case errors.Is(err, record.ErrKeyMissing):
		return "key_missing"
	}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok {
		if e.Reason == record.ReasonNotConnected || e.Reason == record.ReasonDisconnected {
			return ""
		}
		return string(e.Reason)
	}
	return "storage_failed"
}

func pointer(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// Statuses returns the status of each connection of the datasource that has a record, ordered by
// Connection.
func (set *Set) Statuses(ctx context.Context) ([]*Status, error) {
	var statuses []*Status
	if !set.PerUser {
		st, err := set.shared.Status(ctx)
		if err != nil {
			return nil, err
		}
		if st.State == StateNone {
			return nil, nil
		}
		return []*Status{st}, nil
	}
	_, err := set.shared.records.store.Each(ctx, set.PerUser, func(_, key string, token *record.Token) error {
		st := set.status(key, token, nil)
		if known := set.pool.known(key).current(); known != nil && (known.Is(token) || known.Generation > token.Generation && !known.Placeholder()) {
			if known.Is(token) {
				known = known.With(func(t *record.Token) { t.Refused = token.Refused })
			}
			st = set.status(key, known, set.Source(key).conn.lastError())
		}
		if st.State != StateNone {
			statuses = append(statuses, st)
		}
		return nil
	})
	slices.SortFunc(statuses, func(a, b *Status) int {
		// Two keys may have sealed a record each: the newer record comes first, and is kept.
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(b.Generation, a.Generation))
	})
	statuses = slices.CompactFunc(statuses, func(a, b *Status) bool { return a.Connection == b.Connection })
	return statuses, err
}
