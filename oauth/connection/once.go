// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"fmt"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// Once returns what the record of the connection holds, and has it made if it is not good. Of all
// nodes of a cluster one makes it, under the claim by which refresh tokens are redeemed once; the
// others wait for that, and take it over. What is made may be had again after a failure, so a
// claim leaves no doubt behind. It is for records that hold something else than a person's grant,
// such as the client that was registered at a provider.
//
// check says whether the content is good, or why it may not be replaced now. produce gets what it
// replaces.
func Once(ctx context.Context, s *Source, check func(*record.Token) (good bool, err error), produce Producer) (*record.Token, error) {
	is := func(token *record.Token) (bool, error) {
		if token == nil || token.Access == "" {
			return false, nil
		}
		return check(token)
	}
	if token := s.conn.token.Load(); isGood(is, token) {
		return token, nil
	}
	err := s.exclusively(ctx, func(ctx context.Context) error { return once(ctx, s, is, produce) })
	if err != nil {
		return nil, err
	}
	return s.conn.token.Load(), nil
}

// Producer makes the content of a record, in the place of another one.
type Producer func(ctx context.Context, before *record.Token) (*record.Token, error)

func isGood(check func(*record.Token) (bool, error), token *record.Token) bool {
	good, err := check(token)
	return good && err == nil
}

// once is Once within an operation.
func once(ctx context.Context, s *Source, check func(*record.Token) (bool, error), produce Producer) error {
	var others watch
	for {
		base, read, err := s.records().read(ctx)
		if err != nil {
			return fmt.Errorf("reading what is stored: %w", err)
		}
		if good, err := check(base); good || err != nil {
			return err
		}
		if !others.expired(base.Claim, s.conn.claimant(), s.set.lease, time.Now()) {
			if err := sleep(ctx, pollInterval); err != nil {
				return fmt.Errorf("another node has not ended in time: %w", err)
			}
			continue
		}
		if !s.set.presence.isAnnounced() {
			if err := s.set.presence.announce(ctx); err != nil {
				return err
			}
			continue // announcing may take a while, so the record is read again
		}
		if base.Access == "" && base.End.Reason == "" {
			base = base.With(func(t *record.Token) { t.End.Reason = record.ReasonNotConnected })
		}
		mine, err := s.claims().take(ctx, base, read)
		if err != nil {
			return err
		}
		if mine == nil {
			continue
		}
		if held, err := makeClaimed(ctx, s, mine, check, produce); held || err != nil {
			return err
		}
	}
}

// makeClaimed has the content of a record made that this node has claimed. It returns false if
// another node has the claim by now.
func makeClaimed(
	ctx context.Context, s *Source, mine *record.Token, check func(*record.Token) (bool, error), produce Producer,
) (held bool, err error) {
	mine, held, err = s.claims().holdsStill(ctx, mine)
	if err != nil || !held {
		return false, err
	}
	token, err := produce(ctx, mine)
	if err != nil {
		if err = s.claims().release(ctx, mine, false, err); err != nil && !isGood(check, s.conn.token.Load()) {
			return true, err
		}
		return true, nil
	}
	token.Generation, token.Identity = mine.Generation+1, s.records().store.Identity
	s.records().saveAndUse(ctx, token)
	return true, nil
}
