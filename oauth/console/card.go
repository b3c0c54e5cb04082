// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// The classes of a card in the style sheet. Their colours say what callers get: red is refused,
// amber is served as long as somebody looks at it in time, green is served.
const (
	classBad     = "bad"
	classAgain   = "again"
	classGood    = "good"
	classNone    = "none"
	classUnknown = "unknown"
)

// cardView is what the page shows of one connection.
type cardView struct {
	Name  string
	Whose string
	API   string // the API's host, "" if it is not known or not to be shown

	State string // the class in the style sheet
	Words string // the state, for people
	Note  string // what that means for callers
	Done  string // what was done a moment ago

	Brief string // what a closed card says of it, where something is wrong
	Back  string // the path that the person has come from, or ""
	Open  bool

	Facts    *factsView // nil for a user who may only look
	Since    *moment
	Expires  string
	Renewed  *moment
	Stored   string
	Redirect string // the URL to register at the provider

	Refusal *failureView // the last answer by which the API has refused the credential, for operators
	Failed  *failureView // the last failed attempt to connect an account

	Connect    string   // the words on the button, "" for no button
	Key        *keyView // the form of a key, nil if there is none
	Refresh    bool
	Disconnect string

	kind  *kind
	group string // in which it stands
	rank  int    // where it stands: the lowest comes first
}

// factsView is what only those see who may act.
type factsView struct {
	Provider string
	Scopes   []string
	By       string // who has connected the account
	Found    []connection.Fact
	Last     *failureView
	Next     string // when a token may be asked for again
}

// failureView is something that has failed.
type failureView struct {
	Text   string // in plain words
	Code   string // as the provider writes it
	Since  *moment
	Hint   string // what to do
	Says   string // what the provider, or the API, has written about it, for operators
	Whose  string // what stands before that
	Own    bool   // Says are the gateway's own words
	Remedy string // what to do about it, for operators
}

// Words of what the card is about.
func (c *cardView) SinceLabel() string   { return c.kind.since }
func (c *cardView) RenewedLabel() string { return c.kind.renewed }
func (c *cardView) ExpiresLabel() string { return c.kind.expires }

// has reports whether a text stands in the name or in a host of a card.
func (c *cardView) has(text string) bool {
	if text == "" {
		return true
	}
	all := c.Name + "\n" + c.API
	if c.Facts != nil {
		all += "\n" + c.Facts.Provider
	}
	return strings.Contains(strings.ToLower(all), strings.ToLower(text))
}

// card returns what the page shows of a connection.
func (p page) card(ctx context.Context, ds datasource, may permission, key string) *cardView {
	v := p.visit
	c := &cardView{Name: ds.Datasource(), Whose: "One account for all callers", kind: kindOf(ds)}
	switch {
	case c.kind == &ownKeys:
		c.Whose = "Your own key"
	case c.kind == &logins:
		c.Whose = "The gateway's own login"
	case ds.PerUser():
		c.Whose = "Your own account"
	case ds.PerCaller():
		c.Whose = "Each caller's own token, exchanged for one of the API"
	case !ds.Interactive():
		c.Whose = "The gateway's own access, without an account"
	}
	if may == permissionNoKey {
		c.State, c.Words = classUnknown, "You have no identity for this one"
		c.Note, c.group, c.rank = messageNoIdentity.Text, groupUnused, rankUnused
		return c
	}
	status, err := ds.Status(ctx, key)
	if err != nil {
		v.logger.Error("the state of a connection cannot be read", because(ds, err)...)
		c.unreadable()
	} else {
		c.judge(status, ds, p.now)
		if c.Name == p.at {
			c.Done = noticeOf(c.kind, p.did, status, p.now)
		}
	}
	if may == permissionAct {
		c.fill(ds, status, err, p.now, v.h.operators[v.user])
	}
	return c
}

// fill fills in what only those see who may act on the connection. status is nil if it cannot be
// read.
func (c *cardView) fill(ds datasource, status *connection.Status, err error, now time.Time, operator bool) {
	about := ds.Facts()
	c.API = about.API
	c.Facts = &factsView{Provider: about.Provider, Scopes: about.Scopes}
	if ds.Interactive() {
		c.Redirect = ds.Redirect()
	}
	if err != nil {
		c.Facts.Last = &failureView{Text: "What is stored cannot be read now. The gateway's log says why."}
		if errors.Is(err, record.ErrKeyMissing) {
			c.Facts.Last.Text = "What is stored was sealed with a key that this gateway lacks."
			c.Facts.Last.Remedy = remedyOfKey
			if c.kind == &ownKeys {
				c.Facts.Last.Remedy = "add the old key behind the new one, or enter your key again"
			}
		}
	} else {
		c.Stored = storedWords(status)
		c.Facts.of(c.kind, status, now)
		c.Facts.found(status.Discovered)
		if c.Failed = failedConnect(status, now); c.Failed != nil && c.Failed.Own && c.Facts.Last != nil && c.Failed.Says == c.Facts.Last.Says {
			c.Failed = nil // it is the last problem
		}
	}
	if operator && status != nil && status.LastRefusal != nil {
		r := status.LastRefusal
		c.Refusal = &failureView{Text: "With status " + strconv.Itoa(r.Status), Since: momentOf(&r.At, now), Remedy: r.Remedy}
		if r.Standing {
			c.refusedNow(r.Status, ds.PerUser())
		}
	}
	if !operator {
		c.Facts.Last.forUser()
		c.Failed.forUser()
	}
	if c.Facts.Last != nil && c.group == groupAttention {
		c.Brief = c.Facts.Last.Text
	}
	c.buttons(ds, status)
}

// refusedNow says that the API has refused the last call. Which user's that was is not known, so a
// card of one user's account stays where it is.
func (c *cardView) refusedNow(status int, user bool) {
	said := "The API has refused the last call, with status " + strconv.Itoa(status) + "."
	if c.Brief == "" {
		c.Brief = said
	}
	if c.State == classGood && !user {
		place := places[connection.ConditionWarning]
		c.State, c.group, c.rank = place.class, place.group, place.rank
		c.Words, c.Note = c.kind.refused, said
	}
}

const remedyOfKey = "add the old key behind the new one, or connect the account again"

func (f *factsView) of(k *kind, status *connection.Status, now time.Time) {
	switch {
	case status.ConnectedByLink:
		f.By = "somebody with a one-time link"
	case status.ConnectedBy != "":
		f.By = status.ConnectedBy
	}
	if status.LastError == "" {
		return
	}
	words, code := k.problem(status.LastError)
	f.Last = &failureView{
		Text: words, Code: code, Since: momentOf(status.LastErrorSince, now), Says: status.LastDescription, Whose: k.says, Remedy: toDo(status.Remedy),
		Own: code == connection.DiscoveryFailed,
	}
	switch at := status.NextAttemptAt; {
	case at != nil && at.After(now):
		f.Next = "In " + strings.TrimSpace(humanize.RelTime(now, *at, "", ""))
	case status.State == connection.StateFailing || status.State == connection.StateReauthorize && status.Renewable:
		f.Next = "With the next call"
	}
}

// found adds what was found out of the provider.
func (f *factsView) found(d *connection.Discovered) {
	f.Found = d.Facts()
	if len(f.Found) == 0 {
		return
	}
	f.Scopes = nil // those that were asked for are among the facts
	if u, err := url.Parse(d.Issuer); err == nil && f.Provider == "" {
		f.Provider = u.Host
	}
}

// forUser takes away what is for operators.
func (f *failureView) forUser() {
	if f != nil {
		f.Says, f.Remedy = "", ""
	}
}

// failedAttempt is how long a failed attempt to connect an account is shown.
const failedAttempt = 24 * time.Hour

// failedConnect returns the last failed attempt to connect an account, if it still matters.
func failedConnect(status *connection.Status, now time.Time) *failureView {
	f := status.FailedConnect
	if f == nil || now.Sub(f.At) > failedAttempt {
		return nil
	}
	shown := &failureView{Since: momentOf(&f.At, now), Says: f.Description, Whose: accounts.says, Remedy: toDo(f.Remedy)}
	shown.Text, shown.Code = problem(f.Error)
	shown.Own = shown.Code == connection.DiscoveryFailed
	// Only a renewal is tried again: a code is good once.
	shown.Text, _, _ = strings.Cut(shown.Text, " It is asked again")
	if f.Error == "invalid_grant" {
		shown.Text = textCodeRefused
	}
	if f.Denied {
		denial := messageOfDenial(f.Error)
		if f.ClientGone {
			denial = messageForgotten
		}
		shown.Text = denial.Title + ". " + denial.Text
		if denial.Hint != startAgain { // which this page is
			shown.Hint = denial.Hint
		}
		if shown.Code == codeOther {
			shown.Code = ""
		}
	}
	return shown
}

// storedWords says whether the storage has the token.
func storedWords(status *connection.Status) string {
	switch {
	case status.Stored == nil:
		return ""
	case *status.Stored:
		return "Yes, sealed"
	default:
		return "Not yet; it is in memory only, and storing it is tried again"
	}
}

// buttons fills in which buttons make sense. status is nil if it cannot be read.
func (c *cardView) buttons(ds datasource, status *connection.Status) {
	c.Refresh = status != nil && status.Renewable || !ds.Interactive() && !ds.PerCaller()
	if !ds.Interactive() {
		return
	}
	c.Key = keyForm(ds, status)
	none := status != nil && status.State == connection.StateNone
	if !none {
		c.Disconnect = c.kind.remove
	}
	switch {
	case !ds.Connectable():
	case none:
		c.Connect = "Connect"
	default:
		c.Connect = "Connect again"
	}
}
