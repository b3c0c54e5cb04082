// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Disconnect forgets the tokens of the connection, in memory and in the storage, and revokes
// them at the provider if there is a revocation_url. It is no error if nothing is connected. If
// the provider could not be told, Disconnect returns a *RevocationError; the connection is gone
// nevertheless.
func (s *Source) Disconnect(ctx context.Context) error {
	if !s.set.Interactive {
		return errors.New("there is nothing to disconnect: tokens of " + s.set.Grant + " can be had again at any time")
	}
	// The stored token, and the tokens of nodes that had not seen the disconnect; the newest is
	// the last.
	var gone []*record.Token
	err := s.exclusively(ctx, func(ctx context.Context) error {
		_ = s.set.presence.announce(ctx) // see install
		base, _, err := s.claims().settled(ctx)
		if err != nil {
			return err
		}
		if base.Generation == 0 || base.End.Reason == record.ReasonDisconnected || base.OtherClient {
			return nil
		}
		// If there is nothing to redeem, the only other writer is a node that connects an
		// account, and Install makes sure that the account stays.
		mayWrite := base.Redeemable()
		for {
			// The mark has no token in it. By the mark, a node that was redeeming the refresh
			// token knows that its answer came too late.
			mark := &record.Token{
				Generation: base.Generation + 1, Identity: s.records().store.Identity, Grant: base.Grant, Connected: base.Connected, Seed: base.Seed,
				Changed: time.Now(), End: record.End{Reason: record.ReasonDisconnected},
			}
			if err := s.records().replace(ctx, mark); err != nil {
				return err
			}
			s.conn.startOver()
			gone = append(gone, base)
			if !mayWrite {
				return nil
			}
			by, err := s.claims().displaced(ctx, mark)
			if by == nil || err != nil || !by.SameGrant(base) {
				// Another account was connected since.
				return nil //nolint:nilerr // the storage fails now; the mark is there
			}
			base = by
		}
	})
	if len(gone) == 0 {
		return err
	}
	s.set.happened(EventDisconnected, s.records().store.Connection, "")
	// The tokens are revoked after an error too: where a mark was stored, no node uses them any
	// more.
	if failed := s.records().revokeAll(context.WithoutCancel(ctx), gone); failed != nil && err == nil {
		return &RevocationError{failed}
	}
	return err
}

// Install stores the token of a new grant in place of whatever the connection has, unless one of
// the checks refuses that. The token counts once every node can see it, because another node may
// connect an account, or use the account before, at the same time. Of two accounts, the account
// that was written last counts. Install returns ErrOvertaken if that is another account.
func (s *Source) Install(ctx context.Context, token *record.Token, checks ...func(base *record.Token) error) error {
	if !s.set.Interactive {
		return errors.New("there is nothing to connect: the gateway itself gets the tokens of " + s.set.Grant)
	}
	return s.exclusively(ctx, func(ctx context.Context) error { return s.claims().install(ctx, token, checks...) })
}

// install is Install within an operation.
func (c *claimer) install(ctx context.Context, token *record.Token, checks ...func(base *record.Token) error) error {
	// Announcing may take a while, so it comes before the record is read. If it fails, so does the
	// write.
	_ = c.set.presence.announce(ctx)
	base, _, err := c.settled(ctx)
	for _, check := range checks {
		if err := check(base); err != nil {
			return err
		}
	}
	switch {
	case base != nil:
		token.Generation = base.Generation + 1
		token.Seed = cmp.Or(token.Seed, base.Seed)
	case err != nil:
		// The storage fails; the clock is above any generation that the storage can have.
		token.Generation = record.ClockGeneration(time.Now())
	}
	token.Grant = rand.Text()
	c.conn.startOver()
	c.conn.noteGrant(token.Grant)
	for {
		c.records().saveAndUse(ctx, token)
		if c.conn.owing() {
			// The storage fails now; the token is in use, and stored as soon as the storage
			// works.
			return nil
		}
		by, err := c.displaced(ctx, token)
		switch {
		case by == nil || err != nil:
			return nil //nolint:nilerr // the token stands, or the storage fails now
		case by.Generation >= token.Generation && by.End.Reason != record.ReasonDisconnected && (base == nil || !by.SameGrant(base)):
			c.conn.noteGrant("")
			_, _ = c.records().latest(ctx) // the other account is in use from now on
			return ErrOvertaken
		}
		next := max(token.Generation, by.Generation) + 1
		token = token.With(func(t *record.Token) { t.Generation = next })
	}
}

// Connect puts the account of token in the place of whatever is there, unless check refuses what
// is there. It returns ErrOvertaken if another account counts that was connected at the same time.
// What is not connected is revoked.
func (s *Source) Connect(ctx context.Context, token *record.Token, check func(base *record.Token) error) error {
	var refused error
	err := s.Install(ctx, token, func(base *record.Token) error {
		refused = check(base)
		return refused
	})
	if refused != nil || errors.Is(err, ErrOvertaken) {
		_ = s.set.Revoke(ctx, token.Without(s.Token()))
	}
	if err == nil {
		s.set.happened(EventConnected, s.records().store.Connection, "")
	}
	return err
}

// Latest reads the record, and returns the newest token that is known now.
func (s *Source) Latest(ctx context.Context) (*record.Token, error) { return s.records().latest(ctx) }

// Token returns the token in use, or nil.
func (s *Source) Token() *record.Token { return s.conn.token.Load() }
