// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"net/http"
	"testing"
	"time"
)

// show has a page looked at in all the ways in which people see it: it must be accessible, as
// wide as the window, and free of all that its policy forbids, on a phone and on a desktop, in
// light and in dark. The pictures are kept.
func (b *tab) show(t testing.TB, name string) {
	t.Helper()
	b.wantAccessible(t)
	for _, window := range []struct {
		name          string
		width, height int
		dark          bool
	}{
		{"phone", 390, 844, false},
		{"desktop", 1280, 800, false},
		{"dark", 1280, 800, true},
	} {
		b.size(t, window.width, window.height)
		high := max(window.height, eval[int](t, b, "document.documentElement.scrollHeight"))
		b.screenshot(t, name+"-"+window.name, window.width, high, window.dark)
	}
	b.size(t, 320, 640) // the narrowest window that WCAG 2.2 §1.4.10 speaks of
	if wide := eval[int](t, b, "document.documentElement.scrollWidth"); wide > 320 {
		t.Errorf("%s: the page is %d pixels wide in a window of 320", name, wide)
	}
	b.size(t, 1280, 800)
	b.wantQuiet(t)
}

// TestPages looks at every kind of page.
func TestPages(t *testing.T) {
	g := newGateway(t, time.Minute, func(g *gateway) { g.without = true })
	ann, bob := g.visitor(t, "ann"), g.visitor(t, "bob")
	bob.login(t, "bob", "bob")
	ann.open(t, g.console)
	ann.wantText(t, "nothing to connect")
	ann.show(t, "console-empty")
	g.without, g.more = false, "handle_path /stock/* {\nauthenticated_api "+g.api.URL+" {\nname stock\nauth oauth2 client_credentials {\ntoken_url "+
		g.provider.TokenURL()+"\nclient_id gateway\nclient_secret secret\n}\n}\n}\n"
	g.load(t)

	bob.open(t, g.url+"/"+shared+"/x")
	bob.wantText(t, "orders is not connected")
	bob.show(t, "navigation-shared")
	bob.open(t, g.url+"/"+perUser+"/x")
	bob.wantText(t, "Your account for mail is not connected")
	bob.show(t, "navigation-own")
	ann.open(t, g.console)
	ann.wantState(t, shared, "Not connected")
	ann.show(t, "console-not-connected")
	ann.begin(t, shared)
	ann.wantAccessible(t)
	res := ann.clickCSS(t, "button[value=deny]")
	g.wantRefused(t, ann, int(res.Status), http.StatusBadRequest, "You declined")
	ann.show(t, "callback-declined")
	ann.open(t, g.console+"callback?code=x&state=y")
	ann.wantText(t, "did not begin in this browser")
	ann.show(t, "callback-foreign")

	ann.open(t, g.console)
	g.connect(t, ann, shared, "eve")
	g.connect(t, ann, perUser, "ann")
	ann.show(t, "console-connected")
	bob.open(t, g.console)
	bob.show(t, "console-no-operator")
	callbacks := g.callbacks(ann)
	ann.open(t, callbacks[len(callbacks)-1])
	ann.wantText(t, "already connected")
	ann.show(t, "callback-done")

	g.provider.Status.Store(http.StatusBadGateway)
	ann.open(t, g.console)
	ann.clickCSS(t, "form[action='orders/refresh'] button")
	ann.wantText(t, "The token could not be refreshed")
	ann.show(t, "refresh-failed")
	ann.click(t, "To the connected accounts")
	ann.show(t, "console-error")
	g.provider.Status.Store(0)
	g.provider.SetLife(15 * time.Second)
	ann.clickCSS(t, "form[action='orders/refresh'] button")
	g.provider.RevokeGrants("eve")
	ann.open(t, g.console)
	ann.clickCSS(t, "form[action='orders/refresh'] button")
	ann.wantText(t, "refuses to renew the access now")
	ann.show(t, "refresh-refused")
	ann.click(t, "To the connected accounts")
	ann.wantState(t, shared, "Connected, renewal refused")
	ann.show(t, "console-renewal-refused")
	time.Sleep(15 * time.Second)                                                   // the access token ends
	if ann.open(t, g.console); ann.state(t, shared) != "Must be connected again" { // else the gateway has noticed already
		ann.clickCSS(t, "form[action='orders/refresh'] button")
		ann.wantText(t, "must be connected again")
		ann.open(t, g.console)
	}
	ann.wantState(t, shared, "Must be connected again")
	ann.show(t, "console-reauthorization")
	ann.open(t, g.url+"/connect/nowhere")
	ann.wantText(t, "nothing here for you")
	ann.show(t, "not-found")
	g.provider.RevokeStatus.Store(http.StatusBadGateway)
	ann.open(t, g.console)
	ann.clickCSS(t, "form[action='mail/disconnect'] button")
	ann.wantText(t, "Disconnect mail?", "Your calls are refused from then on")
	ann.show(t, "disconnect")
	ann.clickCSS(t, "form[action='disconnect'] button")
	ann.wantText(t, "the provider could not be told")
	ann.show(t, "disconnected-not-revoked")
}

// TestLinkPages looks at the pages that a person with a link sees.
func TestLinkPages(t *testing.T) {
	g := newGateway(t, time.Minute, func(g *gateway) { g.open = true })
	b := g.visitor(t, "")
	b.open(t, g.console)
	b.wantText(t, "You are not signed in")
	b.show(t, "not-signed-in")
	b.open(t, g.ticket(t, perUser, "ann"))
	b.wantText(t, "The account of ann")
	b.show(t, "link-own")
	link := g.ticket(t, shared, "")
	b.open(t, link)
	b.wantText(t, "Connect an account")
	b.show(t, "link")
	b.begin(t, shared)
	b.allow(t, "eve")
	b.wantText(t, "The account is connected")
	b.show(t, "link-done")
	b.open(t, link)
	b.wantText(t, "This link has been used")
	b.show(t, "link-used")
}
