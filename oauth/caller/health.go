// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// SubjectError says that the caller's own token cannot be exchanged: it has ended, or a provider
// refuses it. The caller can mend that, with another token.
type SubjectError struct {
	// Err is the provider's refusal; nil if the token has ended.
	Err *provider.Error

	// Second says that it is the provider of the second leg that has refused. It has refused what
	// the first one has issued for the caller's token, which the first one has taken.
	Second bool
}

// Error implements error.
func (e *SubjectError) Error() string {
	if e.Err == nil {
		return "the caller's token has ended"
	}
	if e.Second {
		return "the provider of the second leg does not take what the first one has issued for the caller: " + e.Err.Error()
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
	Err       error     // why they fail, whoever the caller is; nil if they do not
	Since     time.Time // since when they fail

	// Refused is why the last caller was refused, if none was served since, and RefusedSince when
	// the first of those was. That is those callers' concern.
	Refused      error
	RefusedSince time.Time
}

// health collects what becomes of exchanges. Anybody can send tokens that no provider takes, and
// as many as they like: what is told of exchanges does not grow with that.
type health struct {
	mu      sync.Mutex
	known   Health
	logged  time.Time // when the log was told last that exchanges fail
	refused time.Time // when the log was told last that a caller was refused
	told    time.Time // when Changed was told last that exchanges fail
	failing bool      // Changed knows that they fail
}

// tellEvery is how often the log, and Changed, are told of failures at most.
const tellEvery = time.Minute

// Health returns what is known.
func (c *Cache) Health() Health {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return c.health.known
}

// isCallers reports whether an error is one caller's concern, and says nothing of the datasource.
// A second leg that has never worked is the operator's: its provider says invalid_grant of a user
// whom it does not know, and of all assertions of a first provider that it does not trust.
func (h *health) isCallers(err error) bool {
	e, ok := errors.AsType[*SubjectError](err)
	return ok && (!e.Second || e.Err == nil || e.Err.Code != "invalid_grant" || !h.known.Succeeded.IsZero())
}

// succeeded notes an exchange that has succeeded, and reports whether Changed is to be told: of
// the first one, and of the first after a failure that it knows.
func (h *health) succeeded(now time.Time) (change bool) {
	change = h.failing || h.known.Succeeded.IsZero()
	h.known, h.failing = Health{Succeeded: now}, false
	return change
}

// failed notes an exchange that has failed, and reports whether Changed and the log are to be
// told.
func (h *health) failed(err error, now time.Time) (change, tell bool) {
	if h.isCallers(err) {
		if h.known.Refused == nil {
			h.known.RefusedSince = now
		}
		h.known.Refused = err
		return false, due(&h.refused, now)
	}
	if h.known.Err == nil {
		h.known.Since = now
	}
	h.known.Err = err
	if !h.failing && due(&h.told, now) {
		h.failing, change = true, true
	}
	return change, due(&h.logged, now)
}

// due reports whether something that was told of last at a time may be told of again, and notes
// that it was.
func due(last *time.Time, now time.Time) bool {
	if now.Sub(*last) < tellEvery {
		return false
	}
	*last = now
	return true
}

// note notes what came of an exchange, and tells the operator of a failure.
func (c *Cache) note(err error) {
	now := time.Now()
	var change, tell bool
	c.health.mu.Lock()
	if err == nil {
		change = c.health.succeeded(now)
	} else {
		change, tell = c.health.failed(err, now)
	}
	c.health.mu.Unlock()
	if change && c.Changed != nil {
		c.Changed(err)
	}
	if !tell {
		return
	}
	fields := []zap.Field{zap.Error(err)}
	if e, ok := errors.AsType[*provider.Error](err); ok {
		fields = append(fields, zap.Inline(e))
	}
	c.Logger.Warn("a caller's token could not be exchanged", fields...)
}
