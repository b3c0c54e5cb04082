// SPDX-License-Identifier: Apache-2.0

package console

import (
	"time"

	"github.com/dustin/go-humanize"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// Where a card stands on the page. What callers are refused for comes first.
const (
	rankRefused = iota
	rankUnknown
	rankWarning
	rankMissing
	rankGood
	rankUnused
)

// places says, for each condition, where a card stands and how it looks.
var places = map[connection.Condition]struct {
	class, group string
	rank         int
}{
	connection.ConditionRefused: {classBad, groupAttention, rankRefused},
	connection.ConditionWarning: {classAgain, groupAttention, rankWarning},
	connection.ConditionMissing: {classNone, groupAttention, rankMissing},
	connection.ConditionUnused:  {classNone, groupUnused, rankUnused},
	connection.ConditionGood:    {classGood, groupConnected, rankGood},
}

// unreadable fills in a connection whose record cannot be read.
func (c *cardView) unreadable() {
	c.State, c.Words, c.group, c.rank = classUnknown, "State not known", groupAttention, rankUnknown
}

// judge fills in what a status means, in words that are true in each state.
func (c *cardView) judge(status *connection.Status, ds datasource, now time.Time) {
	place := places[status.Condition()]
	c.State, c.group, c.rank = place.class, place.group, place.rank
	if status.State != connection.StateNone {
		c.Since = momentOf(status.ConnectedAt, now)
		if c.kind != &ownKeys { // nothing renews a key, and its end is known to nobody here
			c.Renewed, c.Expires = momentOf(status.RefreshedAt, now), expiry(status, now)
		}
	}
	callers := callersOf(ds)
	switch status.State {
	case connection.StateConnected:
		c.Words, c.Note = c.kind.good, ""
		if c.State == classAgain {
			c.Words, c.Note = c.kind.warning(status, callers, now)
		}
	case connection.StateReauthorize:
		c.Words, c.Note = c.kind.again, callers.refused+" until "+callers.connect+" again."
		if status.Valid {
			c.Note = served(status, callers, now) + " then " + callers.connects + " again."
		}
	case connection.StateFailing:
		c.Words, c.Note = "Failing", c.kind.failing(status, callers)
	default:
		c.none(ds, callers)
	}
	if c.State == classBad || c.State == classAgain {
		c.Brief = c.Note
	}
}

func (c *cardView) none(ds datasource, callers callers) {
	if ds.Interactive() {
		c.Words, c.Note = c.kind.none, callers.refused+" until "+callers.connect+"."
		return
	}
	c.Words, c.Note = "Not used yet", "The first call fetches a token."
	if c.kind == &logins {
		c.Note = "The first call logs in."
	}
}

// callers is how a card speaks of those who send requests.
type callers struct {
	refused, served   string
	connect, connects string // "somebody connects the account", now and as an order
}

func callersOf(ds datasource) callers {
	if kindOf(ds) == &ownKeys {
		return callers{"Your calls are refused", "Your calls are served", "you enter your key", "enter your key"}
	}
	if ds.PerUser() {
		return callers{"Your calls are refused", "Your calls are served", "you connect your account", "connect your account"}
	}
	return callers{"Callers are refused", "Callers are served", "somebody connects an account", "somebody must connect the account"}
}

// warning says what is wrong with a connection that is in use.
func (k *kind) warning(status *connection.Status, callers callers, now time.Time) (words, note string) {
	if status.Stored != nil && !*status.Stored {
		return "Not stored yet", callers.served + ", and " + k.unstored
	}
	if k == &logins {
		return "Logged in, next login refused", served(status, callers, now) + " then they are refused, unless somebody mends the login."
	}
	return "Connected, renewal refused", served(status, callers, now) + " then they are refused, unless what the provider says is mended."
}

// served says how long a token is used, and leads to what comes then.
func served(status *connection.Status, callers callers, now time.Time) string {
	if status.ExpiresAt == nil || !status.ExpiresAt.After(now) {
		return callers.served + " until the API refuses the token;"
	}
	return callers.served + " until the token ends, in " + humanize.RelTime(now, *status.ExpiresAt, "", "") + ";"
}

// expiry says when a token expires, and that nobody has to do anything if that is so: people worry
// about expiry.
func expiry(status *connection.Status, now time.Time) string {
	left := ""
	if at := status.ExpiresAt; at != nil && at.After(now) {
		left = "Ends in " + humanize.RelTime(now, *at, "", "")
	}
	switch {
	case status.ExpiresAt == nil && status.Valid:
		return "No end is known; used until the API refuses it"
	case status.ExpiresAt == nil:
		return ""
	case status.Condition() == connection.ConditionRefused || left == "" && status.State != connection.StateConnected:
		return "Has ended"
	case status.State != connection.StateConnected || status.NeedsAction:
		return left
	case left != "" && !status.Renewable:
		return left + "; connect again by then, for the provider gave nothing to renew it with"
	case !status.Renewable:
		return "Has ended; the provider gave nothing to renew it with"
	case left != "":
		return left + "; renewed by itself"
	default:
		return "Has ended; renewed by itself with the next call"
	}
}
