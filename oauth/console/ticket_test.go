// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestTicket is the whole way of a person who has no user, only a link.
func TestTicket(t *testing.T) {
	ds, other := &fake{name: "crm", issuer: "https://provider.example"}, &fake{name: "other"}
	g := newBed(t, ds, other)
	const text = "ticket-for-crm"
	page := g.do(ask{path: "/connect/?ticket=" + text}).is(200).says("Connect an account")
	body := page.Body.String()
	if !strings.Contains(body, `<form method="post" action="crm/connect"><input type="hidden" name="ticket" value="ticket-for-crm">`) {
		t.Errorf("there is no form: %s", body)
	}
	for _, word := range []string{"other", "Refresh", "Disconnect", "callback"} {
		if strings.Contains(body, word) {
			t.Errorf("the page says %q", word)
		}
	}
	if !page.skipped || page.Header().Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("the ticket gets into logs: %v", page.Header())
	}
	ds.called(t, "")
	other.called(t, "")

	post := g.do(ask{
		method: "POST", path: "/connect/crm/connect", body: "ticket=" + text,
		header: http.Header{"Origin": {"https://gw.example"}, "Referer": {"https://gw.example/connect/?ticket=" + text}},
	})
	state, cookie := post.state(), post.fresh()
	ds.called(t, `begin with ticket ""`)
	if !post.skipped || post.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the ticket gets into logs: %v", post.Header())
	}
	a := g.do(ask{path: back(state, "code", "c", "iss", ds.issuer), cookies: []*http.Cookie{cookie}})
	a.goesTo("https://gw.example/connect/callback?" + url.Values{"state": {state}}.Encode())
	ds.called(t, `finish "" "c"`)
	end := g.do(ask{path: back(state), cookies: []*http.Cookie{a.fresh()}}).is(200).says(messageDone.Title)
	if strings.Contains(end.Body.String(), "<a ") {
		t.Error("there is a link to a page that the ticket does not open")
	}
	ds.called(t, "")
	g.silent(text, state, cookie.Value)
}

// TestTicketRefused has tickets that are not valid, and requests for which a valid ticket does not
// count.
func TestTicketRefused(t *testing.T) {
	crm, mine, machine := &fake{name: "crm"}, &fake{name: "mine", perUser: true}, &fake{name: "machine", machine: true}
	used := &fake{name: "used", usedUp: oauth.ErrTicketUsed}
	g := newBed(t, crm, mine, machine, used)
	for text, title := range map[string]string{
		"":                    messageTicketBad.Title,
		"damaged":             messageTicketBad.Title,
		"expired":             messageTicketExpired.Title,
		"ticket-for-used":     messageTicketUsed.Title,
		"ticket-for-none":     messageTicketBad.Title,
		"ticket-for-mine":     messageTicketBad.Title, // of the shared connection, which is no more
		"ticket-for-crm/ann":  messageTicketBad.Title,
		"ticket-for-machine":  messageTicketBad.Title,
		"ticket-for-crm":      "",
		"ticket-for-mine/bob": "",
	} {
		status := 403
		if title == "" {
			status, title = 200, "Connect an account"
		}
		for _, user := range []string{"", "ann"} {
			g.do(ask{user: user, path: "/connect/?ticket=" + url.QueryEscape(text)}).is(status).says(title)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "ticket-for-"), "/")
		if name == "" {
			name = "crm"
		}
		post := g.do(ask{method: "POST", path: "/connect/" + name + "/connect", body: url.Values{"ticket": {text}}.Encode()})
		if status == 200 {
			post.is(303)
			continue
		}
		post.is(403).says(title)
	}
	crm.called(t, `begin with ticket ""`)
	mine.called(t, `begin with ticket "bob"`)
	machine.called(t, "")
	used.called(t, "")

	for name, a := range map[string]ask{
		"refresh":              {method: "POST", path: "/connect/crm/refresh", body: "ticket=ticket-for-crm"},
		"disconnect":           {method: "POST", path: "/connect/crm/disconnect", body: "ticket=ticket-for-crm"},
		"another datasource":   {method: "POST", path: "/connect/mine/connect", body: "ticket=ticket-for-crm"},
		"in the URL":           {method: "POST", path: "/connect/crm/connect?ticket=ticket-for-crm"},
		"two in the form":      {method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm&ticket=ticket-for-crm"},
		"two in the URL":       {path: "/connect/?ticket=ticket-for-crm&ticket=ticket-for-crm"},
		"another page":         {path: "/connect/other?ticket=ticket-for-crm"},
		"a page of others":     {method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm", header: http.Header{"Origin": {"https://evil.example"}}},
		"a form of others":     {method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"an endless form":      {method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm&x=" + strings.Repeat("x", maxForm)},
		"a form that is wrong": {method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm&x=%zz"},
	} {
		t.Run(name, func(t *testing.T) {
			g.do(a).is(403)
			crm.called(t, "")
			mine.called(t, "")
		})
	}
	elsewhere := ask{
		method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm", host: "10.0.0.1",
		header: http.Header{"Origin": {"https://10.0.0.1"}},
	}
	g.do(elsewhere).is(409).says(messageTicketElsewhere.Title)
	crm.called(t, "")
}

// TestTicketUnchecked has a ticket that cannot be checked now. The page does not blame the link.
func TestTicketUnchecked(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		title  string
	}{
		"the storage fails": {errors.New("read-only file system"), 503, messageCannotBegin.Title},
		"a key is missing":  {record.ErrKeyMissing, 503, messageCannotBegin.Title},
		"used":              {oauth.ErrTicketUsed, 403, messageTicketUsed.Title},
		"expired":           {oauth.ErrTicketExpired, 403, messageTicketExpired.Title},
	} {
		t.Run(name, func(t *testing.T) {
			ds := &fake{name: "crm", usedUp: test.err}
			g := newBed(t, ds)
			g.do(ask{path: "/connect/?ticket=ticket-for-crm"}).is(test.status).says(test.title)
			g.do(ask{method: "POST", path: "/connect/crm/connect", body: "ticket=ticket-for-crm"}).is(test.status).says(test.title)
			ds.called(t, "")
		})
	}
}
