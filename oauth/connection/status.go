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

	// StateFailing says that there is no valid token, and that the last attempt to get one has
	// failed. Requests are refused until one succeeds.
	StateFailing = "failing"

	// StateReauthorize says that the account must be connected again.
	StateReauthorize = "reauthorization_required"

	// StateNone says that nobody has connected an account, or that the account was disconnected.
	StateNone = "not_connected"
)

// Status is what people and programs may know of a connection. It has no secret in it.
type Status struct {
	Datasource string `json:"datasource"`

	// Connection is a value of the option connection. It is empty for the shared connection, and
	// for the one status of a datasource with a connection for each user that has none yet.
	Connection string `json:"connection,omitempty"`

	// PerUser says that the datasource has a connection for each user.
	PerUser bool `json:"per_user,omitempty"`

	Grant      string `json:"grant"`
	State      string `json:"state"`
	Generation uint64 `json:"generation"`

	// ConnectedAt is when the account was connected; nil for client_credentials.
	ConnectedAt *time.Time `json:"connected_at,omitempty"`

	// ConnectedBy is the user who has connected the account; empty if that is not known.
	ConnectedBy string `json:"connected_by,omitempty"`

	// ConnectedByLink says that somebody with a one-time link has, in place of a user.
	ConnectedByLink bool `json:"connected_by_link,omitempty"`

	// ExpiresAt is when the access token expires; nil if that is not known.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`

	// RefreshedAt is when the access token was issued.
	RefreshedAt *time.Time `json:"refreshed_at,omitempty"`

	// Valid says that there is an access token that can be sent: requests are served with it,
	// whatever else is wrong.
	Valid bool `json:"-"`

	// Renewable says that the gateway can get a new token without a person.
	Renewable bool `json:"-"`

	// LastError is an OAuth error code or a few fixed words, never a provider's text.
	LastError string `json:"last_error"`

	// LastDescription is the provider's text about LastError, for operators; see provider.Error.
	LastDescription string `json:"last_error_description,omitempty"`

	// Remedy is what an operator can do about LastError; empty if that is not known.
	Remedy string `json:"remedy,omitempty"`

	// LastErrorSince is since when that has been so; nil without an error, or if it is not known.
	LastErrorSince *time.Time `json:"last_error_since,omitempty"`

	// NextAttemptAt is when a token may be asked for again after a failure; nil if nothing stands
	// in the way.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`

	// Stored says whether the storage has the token. It is nil without a token, and for
	// client_credentials, which need no storage.
	Stored *bool `json:"stored,omitempty"`

	// Discovered is what was found out of the provider; nil without the option discover.
	Discovered *Discovered `json:"discovered,omitempty"`

	// FailedConnect is the last attempt to connect an account that has failed since one was
	// connected; nil if there is none, or if another node has seen it.
	FailedConnect *FailedConnect `json:"failed_connect,omitempty"`

	// LastRefusal is the last answer by which the API has refused the datasource's credential,
	// whoever has called; nil if there is none since Caddy was started.
	LastRefusal *Refusal `json:"last_refusal,omitempty"`

	// NeedsAction says that a human being must do something: connect an account, or correct the
	// configuration.
	NeedsAction bool `json:"needs_action"`
}

// Refusal is an answer by which an API refuses a credential.
type Refusal struct {
	At     time.Time `json:"at"`
	Status int       `json:"status"`
	Remedy string    `json:"remedy,omitempty"`

	// Standing says that the API has answered no request well since.
	Standing bool `json:"standing,omitempty"`
}

// Status returns what memory and storage know of the connection.
func (s *Source) Status(ctx context.Context) (*Status, error) {
	st, err := statusOf(ctx, s)
	if err == nil {
		complete(s.set, st)
	}
	return st, err
}

func statusOf(ctx context.Context, s *Source) (*Status, error) {
	if s.set.Exchanges != nil {
		return exchanged(s.set), nil
	}
	if !s.set.Interactive {
		token := s.conn.token.Load()
		if token == nil {
			var err error
			if token, err = s.records().load(ctx); err != nil && s.conn.failure().err == nil {
				return nil, err
			}
		}
		return s.set.status(s.records().store.Connection, token, s.conn.failure()), nil
	}
	st, err := accountStatus(ctx, s)
	if err == nil {
		st.FailedConnect = s.conn.failedConnect(st.ConnectedAt)
	}
	return st, err
}

// accountStatus returns the status of an account that people connect.
func accountStatus(ctx context.Context, s *Source) (*Status, error) {
	token, err := s.records().latest(ctx)
	if token == nil && err != nil {
		return nil, err
	}
	if current := s.conn.token.Load(); current != nil && current.Is(token) {
		// This process alone may know that the token has ended.
		token = current.With(func(t *record.Token) { t.Refused = token.Refused })
	}
	// If the storage fails, the token in memory counts: requests are served with it.
	st := s.set.status(s.records().store.Connection, token, s.conn.failure())
	if err != nil && st.LastError == "" {
		st.LastError = words(err)
	}
	return st, nil
}

// failure is what is known of the renewals that have failed since one has succeeded.
type failure struct {
	err    error // of the last one; nil if none has failed
	since  time.Time
	next   time.Time // when the next one may start
	unsafe bool      // the token in use is not stored yet, whatever has failed
}

// failure returns what is known of the last failures.
func (c *Connection) failure() failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	trouble := c.trouble()
	next := trouble.retryAt
	if held, ok := errors.AsType[*heldError](trouble.lastErr); ok {
		next = held.until
	}
	return failure{trouble.lastErr, trouble.failedSince, next, c.unsaved != nil}
}

// status returns the status of a connection with a token.
func (set *Set) status(connection string, token *record.Token, failed failure) *Status {
	st := &Status{
		Datasource: set.Datasource, Connection: connection, PerUser: set.PerUser, Grant: set.Grant, State: StateNone,
		LastError: words(failed.err), LastDescription: describedBy(failed.err), Remedy: remedyOf(failed.err),
	}
	if st.LastError != "" {
		st.LastErrorSince = pointer(failed.since)
	}
	st.LastRefusal = lastRefusal(set)
	now := time.Now()
	switch {
	case token != nil:
		set.judged(st, token, failed, now)
	case st.LastError != "" && (!set.Interactive || set.Seed != nil):
		st.State = StateFailing
	}
	if st.LastError != "" && st.State != StateReauthorize && failed.next.After(now) {
		st.NextAttemptAt = pointer(failed.next)
	}
	st.NeedsAction = set.needsAction(st, failed.err)
	st.Discovered = discoveredBy(token)
	return st
}

func lastRefusal(set *Set) *Refusal {
	if set.LastRefusal == nil {
		return nil
	}
	return set.LastRefusal()
}

// judged completes the status of a connection that has a token.
func (set *Set) judged(st *Status, token *record.Token, failed failure, now time.Time) {
	st.Generation, st.Renewable, st.Valid = token.Generation, !set.Interactive || token.Redeemable(), token.Valid(now)
	st.ConnectedBy, st.ConnectedByLink = token.By.User, token.By.Link
	st.ConnectedAt, st.RefreshedAt, st.ExpiresAt = pointer(token.Connected), pointer(token.Obtained), pointer(token.Expiry)
	if set.Interactive {
		stored := !failed.unsafe
		st.Stored = &stored
	}
	refused := judge(failed.err).refusal()
	if failed.err == nil && token.Refused != nil { // another process, or an earlier one, has heard it
		refused, st.LastError, st.LastDescription = true, token.Refused.Code, token.Refused.Description
		st.LastErrorSince = pointer(time.UnixMilli(token.Refused.At))
	}
	switch {
	case token.Generation == 0 && set.Seed != nil && st.LastError != "":
		st.State, st.ConnectedAt, st.Stored = StateFailing, nil, nil
	case token.Access == "" && token.End.Reason != record.ReasonDamaged:
		st.ConnectedAt, st.LastError, st.LastDescription, st.LastErrorSince, st.Stored = nil, "", "", nil, nil
		st.ConnectedBy, st.ConnectedByLink, st.Remedy = "", false, ""
	case !token.Valid(now) && failed.err != nil && (!set.Interactive || token.Redeemable() && !refused):
		st.State = StateFailing
	case !set.Interactive || token.Redeemable() && (token.Valid(now) || !refused):
		st.State = StateConnected
	case token.End.Reason == "" && token.Valid(now):
		st.State = StateConnected // without a refresh token, but good until it expires
	default:
		st.State = StateReauthorize
		st.ended(token)
	}
}

// ended says why a connection has ended, if the record has it.
func (st *Status) ended(token *record.Token) {
	finished, ok := errors.AsType[*record.AuthorizationError](token.Finished())
	if !ok {
		return
	}
	st.LastError, st.LastDescription, st.Remedy = cmp.Or(finished.Code, string(finished.Reason)), finished.Description, ""
	if finished.Reason == record.ReasonLost {
		st.LastError = string(finished.Reason)
	}
	switch {
	case token.End.Reason == "":
		st.LastErrorSince = pointer(token.Expiry)
	case !token.Changed.IsZero():
		st.LastErrorSince = pointer(token.Changed)
	}
}

// needsAction reports whether a human being must do something about a connection. A connection
// that users make for themselves needs nobody until it is there. What a provider has said of the
// client, or of the grant (invalid_grant), does not mend itself.
func (set *Set) needsAction(st *Status, err error) bool {
	if st.State == StateReauthorize || st.State == StateNone && set.Interactive && !set.PerUser {
		return true
	}
	e, ok := errors.AsType[*provider.Error](err)
	verdict := judge(err)
	return ok && (e.Rejected() || verdict == verdictClient || verdict == verdictRejected) ||
		err == nil && st.LastError == "invalid_grant"
}

// describedBy returns the provider's text about an error, or "".
func describedBy(err error) string {
	if e, ok := errors.AsType[*provider.DiscoveryError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Description
	}
	if e, ok := errors.AsType[*record.AuthorizationError](err); ok && words(err) != "" {
		return e.Description
	}
	return ""
}

// remedyOf returns what an operator can do about an error, or "".
func remedyOf(err error) string {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Remedy()
	}
	return ""
}

// Code returns the code of an error, as Status.LastError has it: no text of a provider, and no
// secret.
func Code(err error) string { return words(err) }

// words returns the code of an error, as LastError has it.
func words(err error) string {
	switch e, ok := errors.AsType[*provider.Error](err); {
	case err == nil:
		return ""
	case isDiscovery(err):
		return DiscoveryFailed
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
// Connection. If there is none, it returns one status all the same, which says so.
func (set *Set) Statuses(ctx context.Context) ([]*Status, error) {
	var statuses []*Status
	if !set.PerUser {
		st, err := set.shared.Status(ctx)
		if err != nil {
			return nil, err
		}
		return []*Status{st}, nil
	}
	_, err := set.shared.records().store.Each(ctx, set.PerUser, func(_, key string, token *record.Token) error {
		st := set.status(key, token, failure{})
		if known := set.pool.known(key).current(); known != nil && (known.Is(token) || known.Generation > token.Generation && !known.Placeholder()) {
			if known.Is(token) {
				known = known.With(func(t *record.Token) { t.Refused = token.Refused })
			}
			st = set.status(key, known, set.Source(key).conn.failure())
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
	if err == nil && len(statuses) == 0 {
		statuses = append(statuses, set.status("", nil, failure{}))
	}
	complete(set, statuses...)
	return statuses, err
}
