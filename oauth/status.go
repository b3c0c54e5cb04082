// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	weakrand "math/rand/v2"
	"path"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
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
	if current := s.conn.token.Load(); current != nil && current.is(token) {
		token = current.with(func(t *Token) { t.refused = token.refused }) // it may be known here that it has ended
	}
	return s.status(token), nil // what is in memory is served, so it is what counts if the storage fails
}

func (s *Source) status(token *Token) *Status {
	s.conn.mu.Lock()
	err := s.conn.lastErr
	s.conn.mu.Unlock()
	return s.set.status(s.records.store.connection, token, err)
}

// status returns that of a connection with that token, err being the last error.
func (set *Set) status(connection string, token *Token, err error) *Status {
	st := &Status{Datasource: set.Datasource, Connection: connection, Grant: set.Grant, State: StateNone, LastError: words(err), LastDescription: describedBy(err)}
	if token == nil {
		return st
	}
	st.Generation, st.Renewable = token.generation, !set.Interactive || token.redeemable()
	st.ConnectedAt, st.RefreshedAt, st.ExpiresAt = pointer(token.connected), pointer(token.obtained), pointer(token.expiry)
	now := time.Now()
	finished, _ := errors.AsType[*AuthorizationError](token.finished())
	refused := judge(err).refusal()
	if err == nil && token.refused != nil { // as another process has heard, or an earlier one
		refused, st.LastError, st.LastDescription = true, token.refused.Code, token.refused.Description
	}
	switch {
	case token.access == "" && token.end.Reason != ReasonDamaged:
		st.ConnectedAt, st.LastError, st.LastDescription = nil, "", ""
	case !set.Interactive || token.redeemable() && (token.valid(now) || !refused):
		st.State = StateConnected
	case token.end.Reason == "" && token.valid(now):
		st.State = StateConnected // without a refresh token, but good until it expires
	default:
		st.State = StateReauthorize
		if finished != nil {
			st.LastError, st.LastDescription = cmp.Or(finished.Code, finished.Reason), finished.Description
			if finished.Reason == ReasonLost {
				st.LastError = finished.Reason
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
	if e, ok := errors.AsType[*AuthorizationError](err); ok && words(err) != "" {
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
	case errors.Is(err, ErrKeyMissing):
		return "key_missing"
	}
	if e, ok := errors.AsType[*AuthorizationError](err); ok {
		if e.Reason == ReasonNotConnected || e.Reason == ReasonDisconnected {
			return ""
		}
		return e.Reason
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
	_, err := set.eachRecord(ctx, func(_, key string, token *Token) error {
		st := set.status(key, token, nil)
		if known := set.pool.known(key).current(); known != nil && (known.is(token) || known.generation > token.generation && !known.standIn()) {
			if known.is(token) {
				known = known.with(func(t *Token) { t.refused = token.refused })
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

// maxBad is how many records that cannot be read say that it is the storage that fails.
const maxBad = 10

// eachRecord calls do for each record of the datasource that a key here opens and that is for this provider and client. It
// returns how many there are that no key here opens.
func (set *Set) eachRecord(ctx context.Context, do func(name, key string, token *Token) error) (strangers int, err error) {
	store := set.shared.records.store
	ring, err := store.ring()
	if err != nil {
		return 0, err
	}
	listCtx, cancel := context.WithTimeout(ctx, listTimeout)
	names, err := store.within().List(listCtx, store.folder(), false)
	cancel()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("listing the stored connections: %w", err)
	}
	// In an order of its own, so that the keepers of several nodes begin with other ones.
	weakrand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] }) //nolint:gosec // G404: an order is no secret
	var failed error
	bad := 0
	for _, name := range names {
		if !recordName.MatchString(path.Base(name)) {
			continue
		}
		loadCtx, cancel := context.WithTimeout(ctx, storageTimeout)
		raw, err := store.within().Load(loadCtx, name)
		cancel()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			if failed = errors.Join(failed, fmt.Errorf("loading a record: %w", err)); ctx.Err() != nil {
				return 0, failed
			}
			if bad++; bad == maxBad {
				return 0, failed
			}
			continue
		}
		token, rec, err := store.open(ring, path.Base(name), raw)
		if isUnknownKey(err) {
			strangers++
		}
		if err != nil {
			set.Logger.Warn("a stored record cannot be opened", zap.String("storage_key", name), zap.Error(err))
			continue
		}
		if rec.Identity != store.identity || (len(rec.Connection) > 0) != set.PerUser {
			continue
		}
		if err := do(name, string(rec.Connection), token); err != nil {
			return 0, err
		}
	}
	return strangers, failed
}
