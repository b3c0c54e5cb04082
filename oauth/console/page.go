// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// statusTimeout is how long the page waits for the storage, for all datasources together.
const statusTimeout = 10 * time.Second

// page is the list of connected accounts, for one user.
type page struct {
	visit *visit
	now   time.Time
}

// pageView is what the page shows.
type pageView struct {
	Connections []connectionView
	Operator    bool
	Operators   string // who may press buttons, for a user who may not
}

// connectionView is what the page shows of one connection.
type connectionView struct {
	Name  string
	Whose string

	State string // the class in the style sheet: good, again, none, unknown
	Words string // the state, for people

	Since    *moment
	Expires  string
	Renewed  *moment
	Problem  string // the last error, in plain words
	Code     string // the last error's code, as the provider writes it
	Says     string // what the provider has written about the last error, for operators
	Redirect string // the URL to register at the provider
	Note     string

	Connect    string // the words on the button, "" for no button
	Refresh    bool
	Disconnect bool
}

// moment is a point in time.
type moment struct {
	At   string // for programs
	Text string // for people, in UTC: without JavaScript nobody knows their time zone
	Ago  string
}

func momentOf(at *time.Time, now time.Time) *moment {
	if at == nil {
		return nil
	}
	return &moment{
		At:   at.UTC().Format(time.RFC3339),
		Text: at.UTC().Format("2 January 2006, 15:04 UTC"),
		Ago:  humanize.RelTime(*at, now, "ago", "from now"),
	}
}

// page shows the datasources that the user may know of.
func (v *visit) page() error {
	if to, lacking := v.address.withSlash(); lacking {
		return v.seeOther(to)
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), statusTimeout)
	defer cancel()
	return v.render(http.StatusOK, "page.html", "Connected accounts", page{v, time.Now()}.view(ctx))
}

func (p page) view(ctx context.Context) pageView {
	v := p.visit
	content := pageView{Operator: v.h.operators[v.user], Operators: p.whoOperates()}
	for _, ds := range v.datasources {
		if may, key := v.permission(ds); may != permissionNone {
			content.Connections = append(content.Connections, p.connection(ctx, ds, may, key))
		}
	}
	return content
}

// whoOperates tells a user why there are no buttons beside an account that all callers share. It
// returns "" if there is no such account.
func (p page) whoOperates() string {
	v := p.visit
	if !slices.ContainsFunc(v.datasources, func(ds datasource) bool {
		may, _ := v.permission(ds)
		return may == permissionLook
	}) {
		return ""
	}
	if len(v.h.operators) == 0 {
		return "An account that all callers share is connected by operators. They are named in the configuration, and it names none; you are " + v.user + "."
	}
	said := "An account that all callers share is connected by operators. They are named in the configuration; you are " + v.user + "."
	for operator := range v.h.operators {
		if strings.EqualFold(strings.TrimSpace(operator), strings.TrimSpace(v.user)) {
			v.logger.Warn("a user is no operator, whose name differs from an operator's in capital letters or blanks only; correct operators, " +
				"which are compared byte by byte")
			return said + " It has your name with other capital letters, or with blanks."
		}
	}
	return said
}

// connection returns what the page shows of a connection.
func (p page) connection(ctx context.Context, ds datasource, may permission, key string) connectionView {
	v := p.visit
	c := connectionView{Name: ds.Datasource(), Whose: "One account for all callers"}
	switch {
	case ds.PerUser():
		c.Whose = "Your own account"
	case !ds.Interactive():
		c.Whose = "The gateway's own access, without an account"
	}
	if may == permissionNoKey {
		c.State, c.Words = "unknown", "You have no identity for this one"
		c.Note = messageNoIdentity.Text
		return c
	}
	if may == permissionAct && ds.Interactive() {
		c.Redirect = ds.Redirect()
	}
	status, err := ds.Status(ctx, key)
	if err != nil {
		c.unreadable(err)
		v.logger.Error("the state of a connection cannot be read", because(ds, err)...)
	} else {
		c.facts(ds, status, p.now)
	}
	if !v.h.operators[v.user] {
		c.Says = ""
	}
	if may != permissionAct {
		c.Problem, c.Code = "", ""
		return c
	}
	c.buttons(ds, err == nil && status.Renewable)
	return c
}

// unreadable fills in a connection whose record cannot be read.
func (c *connectionView) unreadable(err error) {
	c.State, c.Words = "unknown", "State not known"
	c.Problem = "What is stored cannot be read now. The gateway's log says why."
	if errors.Is(err, record.ErrKeyMissing) {
		c.Problem = "What is stored was sealed with a key that this gateway lacks."
	}
}

// facts fills in what is known about a connection.
func (c *connectionView) facts(ds datasource, status *connection.Status, now time.Time) {
	c.Problem, c.Code = problem(status.LastError)
	c.Says = status.LastDescription
	switch {
	case status.State == connection.StateConnected:
		c.State, c.Words = "good", "Connected"
		c.Since = momentOf(status.ConnectedAt, now)
		c.Renewed = momentOf(status.RefreshedAt, now)
		c.Expires = expiry(status, now)
	case status.State == connection.StateReauthorize:
		c.State, c.Words = "again", "Must be connected again"
		c.Since = momentOf(status.ConnectedAt, now)
		c.Note = "Callers are refused until somebody connects the account again."
		if ds.PerUser() {
			c.Note = "Your calls are refused until you connect your account again."
		}
	case status.State == connection.StateFailing:
		c.State, c.Words = "again", "Failing"
		c.Since = momentOf(status.ConnectedAt, now)
		c.Renewed = momentOf(status.RefreshedAt, now)
		c.Note = "Callers are refused until the gateway gets a token. It goes on trying."
	case ds.Interactive():
		c.State, c.Words = "none", "Not connected"
		c.Note = "Callers are refused until somebody connects an account."
		if ds.PerUser() {
			c.Note = "Your calls are refused until you connect your account."
		}
	default:
		c.State, c.Words = "none", "Not used yet"
		c.Note = "The first call fetches a token."
	}
}

// expiry says when a token expires, and that nobody has to do anything: people worry about expiry.
func expiry(status *connection.Status, now time.Time) string {
	switch at := status.ExpiresAt; {
	case at == nil:
		return "No end is known; used until the API refuses it"
	case at.After(now) && !status.Renewable:
		return "Ends in " + humanize.RelTime(now, *at, "", "") + "; connect again by then, for the provider gave nothing to renew it with"
	case !status.Renewable:
		return "Has ended; the provider gave nothing to renew it with"
	case at.After(now):
		return "Ends in " + humanize.RelTime(now, *at, "", "") + "; renewed by itself"
	default:
		return "Has ended; renewed by itself with the next call"
	}
}

// buttons fills in which buttons make sense.
func (c *connectionView) buttons(ds datasource, renewable bool) {
	c.Refresh = renewable || !ds.Interactive()
	if !ds.Interactive() {
		return
	}
	c.Disconnect = c.State != "none"
	if !ds.Connectable() {
		return
	}
	c.Connect = "Connect again"
	if c.State == "none" {
		c.Connect = "Connect"
	}
}
