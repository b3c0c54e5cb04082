// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// Disconnect forgets the tokens of the connection, here and in the storage, and revokes them at
// the provider if there is a revocation_url. A connection that is not there is no error. If the
// provider could not be told it returns a *RevocationError: the connection is gone all the
// same.
func (s *Source) Disconnect(ctx context.Context) error {
	if s.redeem == nil {
		return errors.New("there is nothing to disconnect: tokens of client_credentials can be had again at any time")
	}
	var gone []*Token // what was stored, and what nodes that had not seen the disconnect have stored in its place; the newest last
	err := s.exclusively(ctx, func(ctx context.Context) error {
		base, _, err := s.settled(ctx)
		if err != nil {
			return err
		}
		if base.generation == 0 || base.end.Reason == ReasonDisconnected || base.foreign {
			return nil
		}
		others := base.redeemable() // or nobody else writes but who connects an account, and sees to it that it stays
		for {
			// What is left is no token, but a mark by which a node that was redeeming one knows
			// that it came too late.
			mark := &Token{
				generation: base.generation + 1, identity: s.store.identity, grant: base.grant, connected: base.connected,
				changed: time.Now(), end: ending{Reason: ReasonDisconnected},
			}
			if err := s.replace(ctx, mark); err != nil {
				return err
			}
			s.state.startOver()
			gone = append(gone, base)
			if !others {
				return nil
			}
			by, err := s.displaced(ctx, mark)
			if by == nil || err != nil || !by.sameGrant(base) { // another account was connected after that
				return nil //nolint:nilerr // the storage fails now; the mark is there
			}
			base = by
		}
	})
	if len(gone) == 0 {
		return err
	}
	// With an error too: what is behind a mark is used by nobody any more.
	if failed := s.revokeAll(context.WithoutCancel(ctx), gone); failed != nil && err == nil {
		return &RevocationError{failed}
	}
	return err
}

// revokeAll revokes the tokens of one grant. The refresh tokens before the newest one are
// spent, but the access tokens may live on.
func (s *Source) revokeAll(ctx context.Context, tokens []*Token) error {
	newest := tokens[len(tokens)-1]
	var older error
	for _, token := range tokens[:len(tokens)-1] {
		if token.access != newest.access {
			older = errors.Join(older, s.revoke(ctx, &Token{access: token.access}))
		}
	}
	if err := s.revoke(ctx, newest); err != nil {
		return errors.Join(err, older)
	}
	return nil
}

// discard revokes what came too late to be stored: the account was disconnected meanwhile, so
// nobody else does.
func (s *Source) discard(token, stored *Token) {
	if stored.end.Reason != ReasonDisconnected || token.access == "" {
		return
	}
	go s.revokeQuietly(token)
}

// revokeQuietly is revoke for tokens that nobody waits for.
func (s *Source) revokeQuietly(token *Token) {
	err := safely(context.Background(), func(ctx context.Context) error { return s.revoke(ctx, token) })
	if err != nil {
		s.logger.Warn("tokens that are of no use here could not be revoked", zap.Error(err))
	}
}

// replace stores a token, and has it used if that succeeds.
func (s *Source) replace(ctx context.Context, token *Token) error {
	st := s.state
	if err := st.records.lock(ctx); err != nil {
		return err
	}
	defer st.records.Unlock()
	if err := s.store.save(ctx, token); err != nil {
		return err
	}
	st.token.Store(token)
	st.seen = time.Now()
	s.scheduleRecheck(token)
	s.recheckAfterSave() //nolint:contextcheck // it belongs to no request
	st.mu.Lock()
	defer st.mu.Unlock()
	st.unsaved = nil
	return nil
}

// settled returns the newest token when no other node redeems its refresh token, and when the
// reading of that began.
func (s *Source) settled(ctx context.Context) (*Token, time.Time, error) {
	var others watch
	for {
		base, read, err := s.read(ctx)
		if err != nil || !base.redeemable() || others.expired(base.claim, s.state.name(), s.lease, time.Now()) {
			return base, read, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, read, err
		}
	}
}

// displaced waits until every node can see a record that was written in the place of another.
// If another node, which had not seen it, has claimed the refresh token before it in between,
// it waits for the end of that. It returns what is in its place then, or nil if it has stayed.
func (s *Source) displaced(ctx context.Context, mine *Token) (*Token, error) {
	var others watch
	for wait := settleTime; ; wait = pollInterval {
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		stored, err := s.load(ctx)
		switch {
		case err != nil || stored == nil || stored.standIn() || mine.stands(stored):
			return nil, err
		case stored.generation >= mine.generation || others.expired(stored.claim, s.state.name(), s.lease, time.Now()):
			return stored, nil
		}
	}
}

// stands reports whether a record is what is stored, or what is stored has come of it.
func (t *Token) stands(stored *Token) bool {
	return stored.generation >= t.generation && stored.sameGrant(t) && (t.end.Reason == "" || stored.end.Reason != "")
}

// RevocationError says that tokens could not be revoked at the provider (RFC 7009). They are
// forgotten here.
type RevocationError struct{ Err error }

// Error implements error.
func (e *RevocationError) Error() string {
	return "revoking the tokens at the provider: " + e.Err.Error()
}

// Unwrap returns what lies below.
func (e *RevocationError) Unwrap() error { return e.Err }
