// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestAgain repeats a callback, as the back button, a reload or a link scanner does. The page says
// "already connected", and the provider is not asked (RFC 6749 §4.1.2).
func TestAgain(t *testing.T) {
	ds := &fake{name: "crm", issuer: "https://provider.example"}
	g := newBed(t, ds)
	state, cookie := g.connect("ann", "", "crm")
	once := ask{user: "ann", path: back(state, "code", "c", "iss", ds.issuer), cookies: []*http.Cookie{cookie}}
	done := g.do(once).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm").fresh()
	if done.Name != cookie.Name || done.Value == cookie.Value || done.MaxAge < 590 || done.MaxAge > 600 {
		t.Errorf("the cookie becomes %s", done)
	}
	ds.take()
	for _, path := range []string{once.path, back(state), back(state, "error", "access_denied")} {
		again := once
		again.path, again.cookies = path, []*http.Cookie{done}
		a := g.do(again).is(200).says(messageDone.Title)
		ds.called(t, "")
		if !strings.Contains(a.Body.String(), `href="https://gw.example/connect/?at=crm#account-crm"`) || a.Header().Get("Set-Cookie") != "" || !a.skipped {
			t.Errorf("%s: %v %s", path, a.Header(), a.Body)
		}
	}
	other := once
	other.user, other.cookies = "bob", []*http.Cookie{done}
	g.do(other).is(400).says(messageOtherUser.Title)
}

// TestTwiceAtOnce sends a callback twice at the same time, as a double click does. The datasource
// redeems the code once, and both requests get its answer.
func TestTwiceAtOnce(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	state, cookie := g.connect("ann", "", "crm")
	ds.take()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}}).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm")
		})
	}
	wg.Wait()
	for _, flow := range ds.flows {
		if flow.State != state || flow.Verifier != "the-verifier" || flow.User != "ann" || flow.Done {
			t.Errorf("the flow arrives as %+v", flow)
		}
	}
}

// TestBrowserLeaves checks that a code is redeemed even if the browser leaves.
func TestBrowserLeaves(t *testing.T) {
	ds := &fake{name: "crm", finished: func(ctx context.Context) {
		if _, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded {
			t.Errorf("the context ends with the request, or never: %v", ctx.Err())
		}
	}}
	g := newBed(t, ds)
	state, cookie := g.connect("ann", "", "crm")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}, ctx: ctx})
	if len(ds.flows) != 1 {
		t.Error("the code was not redeemed")
	}
}

// TestNoAnswerYet has a provider that takes longer to redeem a code than the console waits. That
// is no failure: the cookie stays, so that a reload tells how it ended.
func TestNoAnswerYet(t *testing.T) {
	for _, text := range []string{"", "ticket=ticket-for-crm"} {
		synctest.Test(t, func(t *testing.T) {
			ds := &fake{name: "crm"}
			g := newBed(t, ds)
			begun := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", body: text})
			ds.err, ds.finished = context.DeadlineExceeded, func(ctx context.Context) { <-ctx.Done() }
			once := ask{user: "ann", path: back(begun.state(), "code", "c"), cookies: []*http.Cookie{begun.fresh()}}
			a := g.do(once).is(504).says("The provider has not answered yet").shows("may still be connected").hides("was not connected")
			if link := `href="https://gw.example/connect/?at=crm#account-crm"`; text == "" {
				a.shows(link, "in a minute")
			} else {
				a.hides("<a ").shows("in a minute")
			}

			// Another gateway is told that the code was sent, and does not send it again.
			ds.err, ds.finished = connection.ErrSent, nil
			again := ask{user: "ann", path: once.path, cookies: []*http.Cookie{a.fresh()}}
			a = g.do(again).is(504).says("The provider has not answered yet")
			ds.err = nil
			again.cookies = []*http.Cookie{a.fresh()}
			g.do(again).is(303)
			for i, flow := range ds.flows {
				if flow.Sent != (i > 0) {
					t.Errorf("request %d: the flow says that the code was sent: %t", i, flow.Sent)
				}
			}
		})
	}
}
