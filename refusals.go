// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/admin"
	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// refusalInterval is the least time between two lines of the log that tell of refusals of one
// datasource.
const refusalInterval = time.Minute

// refusalTrace has the log told that an API refuses the credential. Callers get the API's own
// answer, so nothing else would show the operator of the gateway why.
type refusalTrace struct {
	told  atomic.Int64 // when, in Unix nanoseconds
	since atomic.Int64 // how many refusals have come since that were not told of
}

// due reports whether a refusal is to be told of, and how many refusals before it were not.
func (r *refusalTrace) due(now time.Time) (before int64, due bool) {
	last := r.told.Load()
	if last != 0 && now.Sub(time.Unix(0, last)) < refusalInterval || !r.told.CompareAndSwap(last, now.UnixNano()) {
		r.since.Add(1)
		return 0, false
	}
	return r.since.Swap(0), true
}

// tellRefusal tells the log of an answer by which an API refuses the credential, or seems to.
// refused says that refresh_on has the status of the answer. h is the header as the API has sent
// it.
func (ds *datasource) tellRefusal(logger *zap.Logger, status int, h http.Header, refused bool) {
	if !refused && status != http.StatusUnauthorized && !refusesToken(status, h) || ds.carriesNothing() {
		ds.meter.answered(status)
		return
	}
	ds.meter.refuse(status, refused)
	ds.account.doubt()
	remedy := ds.refusalRemedy(status, refused)
	ds.meter.lastRefusal.Store(&connection.Refusal{At: time.Now().UTC().Truncate(time.Second), Status: status, Remedy: remedy})
	before, due := ds.refusals.due(time.Now())
	if !due {
		return
	}
	if c := logger.Check(zapcore.WarnLevel, "the API refuses the credential; the caller gets the API's answer"); c != nil {
		c.Write(zap.String("datasource", ds.name), zap.Int("status", status), zap.Int64("refusals_before", before),
			zap.String("remedy", remedy))
	}
}

// carriesNothing reports whether requests carry no credential of the gateway's.
func (ds *datasource) carriesNothing() bool {
	return len(auth.PlacementsOf(ds.method)) == 0 && ds.signing == nil
}

// refusesToken reports whether an answer says that a token is not valid (RFC 6750 §3.1), whatever
// the status.
func refusesToken(status int, h http.Header) bool {
	if status < 400 || status > 499 {
		return false
	}
	for _, challenge := range h["Www-Authenticate"] {
		if strings.Contains(strings.ToLower(challenge), "invalid_token") {
			return true
		}
	}
	return false
}

// refusalRemedy says what an operator can do. What is signed has times in it.
func (ds *datasource) refusalRemedy(status int, refused bool) string {
	remedy := ds.account.refusalRemedy(status, refused)
	if _, token := ds.method.(*auth.JWT); token || ds.signing != nil {
		remedy += "; compare this machine's clock, too, for what is signed has times in it"
	}
	return remedy
}

// refusalRemedy says what an operator can do.
func (c *account) refusalRemedy(status int, refused bool) string {
	switch {
	case status != http.StatusUnauthorized && !refused:
		return "the API has another status for a token that it does not take; add it to refresh_on"
	case c.remedy != "":
		return c.remedy
	default:
		return "compare the credential, its place (a header field or a query parameter) and its prefix with the API's " +
			"documentation, and look whether it has expired or was withdrawn there; a new one in a {file} is read by itself"
	}
}

// Refused implements admin.App: it returns the datasources without connections whose key or
// password the API has refused, and has answered no request well since.
func (a *App) Refused() (list []*connection.Status) {
	for _, name := range a.registry.names() {
		ds := a.registry.lookup(name)
		if ds.meter.standingRefusal() != nil && ds.account.method == nil {
			list = append(list, &connection.Status{
				Datasource: name, Grant: ds.method.CaddyModule().ID.Name(), State: admin.StateRefused,
				LastRefusal: ds.meter.refusal(), NeedsAction: true,
			})
		}
	}
	return list
}

// refusal returns the last answer by which the API has refused the credential, or nil.
func (m *meter) refusal() *connection.Refusal {
	last := m.lastRefusal.Load()
	if last == nil {
		return nil
	}
	now := *last
	now.Standing = m.standingRefusal() != nil
	return &now
}

// standingRefusal returns the last answer by which the API has refused the credential, or nil if
// it has taken it since.
func (m *meter) standingRefusal() *connection.Refusal {
	last := m.lastRefusal.Load()
	if last == nil || m.lastSuccess.Load() > last.At.Unix() {
		return nil
	}
	return last
}
