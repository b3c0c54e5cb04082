// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// resealDelay is how long a configuration must have run before its records are moved to its
// first key. A configuration that fails to start must not take records away from the
// configuration that goes on.
const resealDelay = 250 * time.Millisecond

// Reseal has the stored tokens of client_credentials sealed with the first key of the ring, unless
// ctx ends very soon. Keep does this for all other tokens.
func Reseal(ctx context.Context, sets ...*Set) {
	s := schedule{from: time.Now().Add(resealDelay)}
	for _, set := range sets {
		if !set.Interactive {
			s.add(s.from, nil, set.shared.reseal)
		}
	}
	s.run(ctx)
}

// reseal moves the record to the first key of the ring, so that the operator can remove the
// older keys even if nobody has needed a new token in the meantime.
func (s *Source) reseal(ctx context.Context) (wait time.Duration) {
	if _, err := s.records().load(context.WithoutCancel(ctx)); err != nil {
		s.set.Logger.Warn("the stored token could not be sealed with the new key", zap.Error(err))
	}
	return over
}
