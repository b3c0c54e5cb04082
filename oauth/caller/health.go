// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// SubjectError says that the caller's own token cannot be exchanged: it has ended, or the provider
// refuses it. The caller can mend that, with another token.
type SubjectError struct {
	// Err is the provider's refusal; nil if the token has ended.
	Err *provider.Error
}

// Error implements error.
func (e *SubjectError) Error() string {
	if e.Err == nil {
		return "the caller's token has ended"
	}
	return "the provider refuses the caller's token: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SubjectError) Unwrap() error {
	if e.Err == nil {
		return nil
	}
	return e.Err
}

// Health is what is known of the exchanges of a datasource.
type Health struct {
	Succeeded time.Time // when the last one has succeeded; zero: none has
	Err       error     // of the last one, if it has failed
	Since     time.Time // since when they fail
}

// health collects what becomes of exchanges.
type health struct {
	mu    sync.Mutex
	known Health
	told  time.Time // when the log was told of a failure last
}

// tellEvery is how often the log is told of failures at most: every caller may have one.
const tellEvery = time.Minute

// Health returns what is known.
func (c *Cache) Health() Health {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return c.health.known
}

// note notes what came of an exchange, and tells the operator of a failure.
func (c *Cache) note(err error) {
	if c.Happened != nil {
		c.Happened(err)
	}
	now := time.Now()
	c.health.mu.Lock()
	known := &c.health.known
	tell := false
	if err == nil {
		known.Succeeded, known.Err, known.Since = now, nil, time.Time{}
	} else {
		if known.Err == nil {
			known.Since = now
		}
		known.Err = err
		if tell = now.Sub(c.health.told) >= tellEvery; tell {
			c.health.told = now
		}
	}
	c.health.mu.Unlock()
	if !tell {
		return
	}
	fields := []zap.Field{zap.Error(err)}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fields = append(fields, zap.Inline(e))
	}
	c.Logger.Warn("a caller's token could not be exchanged", fields...)
}
