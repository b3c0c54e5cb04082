// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// fetchNext is obtain for tokens that can be had again at any time: those of client credentials.
func (s *Source) fetchNext(ctx context.Context) error {
	now := time.Now()
	current := s.state.token.Load()
	stored, err := s.load(ctx)
	switch {
	case errors.Is(err, ErrKeyMissing) && current == nil:
		return err
	case err != nil: // with a token in memory a record of another key is no reason to let that token be the last one
		s.logger.Warn("the stored token cannot be read; asking the provider", zap.Error(err))
	}
	var generation uint64
	if current != nil {
		generation = current.generation
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
		generation = max(generation, stored.generation)
	}
	token, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	if !token.valid(time.Now()) {
		return &Error{Err: errors.New("the token has expired already when it came")}
	}
	token.generation = generation + 1
	// A token of this grant can be had again, so it is used before it is stored: a storage that hangs must not keep it back.
	s.state.token.Store(token)
	if err := s.save(ctx, token); err != nil {
		s.logger.Error("storing a new token failed; it is used all the same, and asked for again after a restart", zap.Error(err))
	}
	return nil
}
