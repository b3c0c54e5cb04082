// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// fetchNext is obtain for tokens that can be had again at any time: those of client credentials.
func (s *Source) fetchNext(ctx context.Context) error {
	now := time.Now()
	current := s.state.token.Load()
	stored, err := s.load(ctx)
	switch {
	case errors.Is(err, ErrKeyMissing):
		// A key that is lost costs nothing here: the record only caches what can be had again.
		s.logger.Warn("the stored token was sealed with a key that is not configured; a new one is asked for and counts from now on", zap.Error(err))
	case err != nil:
		s.logger.Warn("the stored token cannot be read; asking the provider", zap.Error(err))
	}
	before := current // the last token that is known
	var generation uint64
	switch {
	case current != nil:
		generation = current.generation
	case errors.Is(err, ErrKeyMissing):
		generation = uint64(now.Unix()) // above whatever the record has, should the key come back
	}
	if stored != nil {
		if stored.generation < generation {
			s.logger.Warn("the stored token is older than the one in memory: the storage was rolled back, or a write was lost",
				zap.Uint64("stored", stored.generation), zap.Uint64("in_memory", generation))
		}
		if stored.generation > generation && stored.valid(now) {
			// Near its end too nobody must wait for the provider: the next request renews it in the background.
			s.state.token.Store(stored)
			return nil
		}
		if before == nil || stored.generation > generation {
			before, generation = stored, stored.generation
		}
	}
	token, err := s.fetch(ctx, before)
	if err != nil {
		return err
	}
	if !token.valid(time.Now()) {
		return &provider.Error{Err: errEnded}
	}
	token.generation = generation + 1
	// A token of this grant can be had again, so it is used before it is stored: a storage that hangs must not keep it back.
	s.state.token.Store(token)
	if err := s.save(ctx, token); err != nil {
		s.logger.Error("storing a new token failed; it is used all the same, and asked for again after a restart", zap.Error(err))
	}
	return nil
}
