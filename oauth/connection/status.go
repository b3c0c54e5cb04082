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
	// StateConnected is that of a connection that is in use.
	StateConnected = "connected"

	// StateReauthorize is that of a connection whose account must be connected again.
	StateReauthorize = "reauthorization_required"

	// StateNone is that of a connection that nobody has made, or that was disconnected.
	StateNone = "not_connected"
)

// Status is what people and programs may know of a connection. No secret is in it.
type Status struct {
	Datasource string `json:"datasource"`

	// Connection is whose it is: a value of the option connection. It is empty for the shared one.
	Connection string `json:"connection,omitempty"`

	Grant      string `json:"grant"`
	State      string `json:"state"`
	Generation uint64 `json:"generation"`

	// ConnectedAt is when the account was connected; not known for client_credentials.
	ConnectedAt *time.Time `json:"connected_at,omitempty"`

	// ExpiresAt is when the access token expires; nil if that is not known.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	// RefreshedAt is when the access token was issued.
	RefreshedAt *time.Time `json:"refreshed_at,omitempty"`

	// Renewable says that a new token can be had without a human being.
	Renewable bool `json:"-"`

	// LastError is an OAuth error code or a few fixed words, never a provider's text.
	LastError string `json:"last_error"`

	// LastDescription is what the provider has written of that, for operators; see Error.
	LastDescription string `json:"last_error_description,omitempty"`
}

// Status returns what is known of the connection, here and in the storage.
func (s *Source) Status(ctx context.Context) (*Status, error) {
	if !s.set.Interactive {
		token := s.conn.token.Load()
		if token == nil {
			var err error
			if token, err = s.records.load(ctx); err != nil {
				return nil, err
			}
		}
		return s.status(token), nil
	}
	token, err := s.records.latest(ctx)
	if token == nil && err != nil {
		return nil, err
	}
	if current := s.conn.token.Load(); current != nil && current.Is(token) {
		token = current.With(func(t *record.Token) { t.Refused = token.Refused }) // it may be known here that it has ended
	}
	return s.status(token), nil // what is in memory is served, so it is what counts if the storage fails
}

func (s *Source) status(token *record.Token) *Status {
	s.conn.mu.Lock()
	err := s.conn.lastErr
	s.conn.mu.Unlock()
	return s.set.status(s.records.store.Connection, token, err)
}

// status returns that of a connection with that token, err being the last error.
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
	if err == nil && token.Refused != nil { // as another process has heard, or an earlier one
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

// describedBy returns what the provider has written of an error, or "".
func describedBy(err error) string {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Description
	}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok && words(err) != "" {
		return e.Description
	}
	return ""
}

// words says in a word what an error is.
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

// Statuses returns what is known of all connections of the datasource that have a record, in order of Connection.
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
			st = set.Source(key).status(known)
		}
		if st.State != StateNone {
			statuses = append(statuses, st)
		}
		return nil
	})
	slices.SortFunc(statuses, func(a, b *Status) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(b.Generation, a.Generation)) // of two keys' the newer one
	})
	statuses = slices.CompactFunc(statuses, func(a, b *Status) bool { return a.Connection == b.Connection })
	return statuses, err
}
