// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

func since(d time.Duration) *time.Time {
	at := time.Now().Add(-d)
	return &at
}

// TestPage shows a connection in each state, to an operator and to another user.
func TestPage(t *testing.T) {
	const redirect, forms = "https://gw.example/connect/callback", "<form"
	for name, test := range map[string]struct {
		ds           *fake
		ann, bob     []string
		annNot, both []string
		hidden       bool // from bob
	}{
		"connected": {
			ds: &fake{status: &connection.Status{
				State: connection.StateConnected, Renewable: true, ConnectedAt: since(49 * time.Hour), RefreshedAt: since(20 * time.Minute), ExpiresAt: since(-40*time.Minute - time.Second),
			}},
			both: []string{"Connected<", "2 days ago", "20 minutes ago", "Ends in 40 minutes", "renewed by itself", "One account for all callers"},
			ann:  []string{">Connect again<", `action="x/connect"`, `action="x/refresh"`, `action="x/disconnect"`, redirect},
		},
		"connected, expired": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected, Renewable: true, ExpiresAt: since(time.Minute)}},
			both: []string{"Has ended; renewed by itself with the next call"},
		},
		"connected, without refresh token": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected, ExpiresAt: since(-40*time.Minute - time.Second)}},
			both: []string{"Ends in 40 minutes", "connect again by then"},
			ann:  []string{">Connect again<", `action="x/disconnect"`}, annNot: []string{`action="x/refresh"`},
		},
		"connected, no expiry": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected, Valid: true}},
			both: []string{"used until the API refuses it"}, annNot: []string{`action="x/refresh"`},
		},
		"refused, and asked again": {
			ds:   &fake{status: &connection.Status{State: connection.StateReauthorize, Renewable: true, LastError: "refused"}},
			both: []string{"Must be connected again"}, ann: []string{`action="x/refresh"`},
		},
		"revoked": {
			ds:     &fake{status: &connection.Status{State: connection.StateReauthorize, LastError: "revoked", ConnectedAt: since(time.Hour)}},
			both:   []string{"Must be connected again", "1 hour ago"},
			ann:    []string{"The provider has withdrawn the access", "<code>revoked</code>", ">Connect again<", `action="x/disconnect"`, redirect},
			annNot: []string{`action="x/refresh"`},
		},
		"lost": {
			ds:  &fake{status: &connection.Status{State: connection.StateReauthorize, LastError: "lost_in_crash"}},
			ann: []string{"broke down in the very moment of a renewal"},
		},
		"a code nobody knows": {
			ds:  &fake{status: &connection.Status{State: connection.StateConnected, LastError: "very_strange"}},
			ann: []string{"The token could not be renewed", "<code>very_strange</code>"},
		},
		"a hostile code": {
			ds:     &fake{status: &connection.Status{State: connection.StateConnected, LastError: `"><script>alert(1)</script>`}},
			ann:    []string{"The token could not be renewed"},
			annNot: []string{"script", "alert"},
		},
		"never connected": {
			ds:     &fake{},
			both:   []string{"Not connected"},
			ann:    []string{">Connect<", redirect},
			annNot: []string{`action="x/refresh"`, `action="x/disconnect"`},
		},
		"unreadable": {
			ds:   &fake{readErr: errors.New("read-only")},
			both: []string{"State not known"},
			ann:  []string{"cannot be read now", `action="x/connect"`},
		},
		"sealed with another key": {
			ds:  &fake{readErr: record.ErrKeyMissing},
			ann: []string{"a key that this gateway lacks"},
		},
		"failing": {
			ds: &fake{status: &connection.Status{
				State: connection.StateFailing, Renewable: true, LastError: "status_503", ConnectedAt: since(49 * time.Hour), ExpiresAt: since(time.Minute),
			}},
			both: []string{"Failing<", "2 days ago", "It goes on trying"},
			ann:  []string{"<code>status_503</code>", ">Connect again<", `action="x/refresh"`, `action="x/disconnect"`}, annNot: []string{"renewed by itself"},
		},
		"client_credentials, failing": {
			ds:  &fake{machine: true, status: &connection.Status{State: connection.StateFailing, LastError: "invalid_client"}},
			ann: []string{"Failing<", `action="x/refresh"`}, annNot: []string{"Not used yet"}, hidden: true,
		},
		"client_credentials, not used yet": {ds: &fake{machine: true}, ann: []string{`action="x/refresh"`, "Not used yet"}, hidden: true},
		"client_credentials": {
			ds:     &fake{machine: true, status: &connection.Status{State: connection.StateConnected, Renewable: true, ExpiresAt: since(-time.Hour)}},
			ann:    []string{`action="x/refresh"`, "own access"},
			annNot: []string{`action="x/connect"`, `action="x/disconnect"`, "<textarea"},
			hidden: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.ds.name = "x"
			g := newBed(t, test.ds)
			for _, user := range []string{"ann", "bob"} {
				a := g.do(ask{user: user, path: "/connect/"}).is(200).says("Connected accounts").shows("<strong>" + user + "</strong>")
				switch {
				case user == "ann":
					a.shows(test.both...).shows(test.ann...).hides(test.annNot...)
				case test.hidden:
					a.shows("There is nothing to connect yet").hides("name-x")
				default:
					a.shows(test.both...).hides(forms, redirect, "Last problem", "<code>", "script>")
				}
			}
		})
	}
}

// TestOwnConnection checks that users see their own connection and no other.
func TestOwnConnection(t *testing.T) {
	ds := &fake{name: "mine", perUser: true}
	g := newBed(t, ds)
	for _, user := range []string{"ann", "bob"} {
		g.do(ask{user: user, account: user, path: "/connect/"}).is(200).shows("Your own account", `action="mine/connect"`, ds.Redirect())
		ds.called(t, `status "`+user+`"`)
		g.do(ask{user: user, path: "/connect/"}).is(200).shows("You have no identity for this one").hides("<form", ds.Redirect())
		ds.called(t, "")
	}
}

// TestWhoOperates checks that a user who may press no button is told who may, and by which name
// the gateway knows them.
func TestWhoOperates(t *testing.T) {
	const named, none, capitals = "named in the configuration; you are ", "it names none; you are ", "other capital letters"
	for _, tt := range []struct {
		operators []string
		user      string
		ds        *fake
		want      string
		not       []string
	}{
		{[]string{"ann"}, "bob", &fake{name: "crm"}, named + "bob.", []string{capitals, "<button"}},
		{[]string{"Ann"}, "ann", &fake{name: "crm"}, named + "ann.", []string{"<button"}},
		{[]string{"Ann"}, "ann", &fake{name: "crm"}, capitals, nil},
		{[]string{"ann "}, "ann", &fake{name: "crm"}, capitals, nil},
		{nil, "bob", &fake{name: "crm"}, none + "bob.", []string{"<button"}},
		{[]string{"ann"}, "<b>", &fake{name: "crm"}, named + "&lt;b&gt;.", nil},
		{[]string{"ann"}, "ann", &fake{name: "crm"}, "<button", []string{"you are"}},
		{[]string{"ann"}, "bob", &fake{name: "crm", perUser: true}, "<button", []string{"you are"}},
	} {
		g := newBed(t, tt.ds)
		g.operators = make(map[string]bool)
		for _, operator := range tt.operators {
			g.operators[operator] = true
		}
		g.do(ask{user: tt.user, account: tt.user, path: "/connect/"}).is(200).shows(tt.want).hides(tt.not...)
		if warned := g.logs.FilterMessageSnippet("compared byte by byte").Len() > 0; warned != (len(tt.operators) > 0 && tt.operators[0] != tt.user && strings.EqualFold(strings.TrimSpace(tt.operators[0]), tt.user)) {
			t.Errorf("%v, %s: warned: %t", tt.operators, tt.user, warned)
		}
	}
}

// TestPageOfThousands: of many accounts the page shows the first, which are those that need
// attention, and the one that the browser comes back to. The others are found.
func TestPageOfThousands(t *testing.T) {
	var fakes []*fake
	for i := range 250 {
		f := &fake{name: fmt.Sprintf("api%03d", i), status: &connection.Status{State: connection.StateConnected, Renewable: true}}
		if i == 249 {
			f.status = &connection.Status{State: connection.StateReauthorize, LastError: "revoked"}
		}
		fakes = append(fakes, f)
	}
	g := newBed(t, fakes...)
	page := g.do(ask{user: "ann", path: "/"}).is(200)
	page.shows(">api249<", ">api000<", ">api198<", "50 more are not shown").hides(">api199<", ">api248<")
	g.do(ask{user: "ann", path: "/?at=api230&did=connected"}).is(200).shows(">api230<", "49 more are not shown").hides(">api231<")
	g.do(ask{user: "ann", path: "/?q=api24"}).is(200).shows(">api248<").hides("more are not shown", ">api000<")
}
