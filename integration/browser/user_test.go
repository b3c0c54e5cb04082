// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUsers checks that each user connects an account of their own, is served with that account,
// and sees nothing of another user's.
func TestUsers(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	ann, bob := g.visitor(t, "ann"), g.visitor(t, "bob")
	for user, b := range map[string]*tab{"ann": ann, "bob": bob} {
		g.wantUnauthorized(t, user, perUser, http.StatusUnauthorized)
		b.open(t, g.console)
		b.wantText(t, "Signed in as "+user)
		b.wantState(t, perUser, "Not connected")
	}
	g.connect(t, ann, perUser, "ann")
	g.wantServed(t, "ann", perUser, "ann")
	g.wantUnauthorized(t, "bob", perUser, http.StatusUnauthorized)
	bob.reload(t)
	bob.wantState(t, perUser, "Not connected")
	if text := bob.text(t); strings.Contains(text, "ann") {
		t.Errorf("bob sees %q", text)
	}

	g.connect(t, bob, perUser, "bob")
	g.wantServed(t, "bob", perUser, "bob")
	g.wantServed(t, "ann", perUser, "ann")
	// An operator is an ordinary user here.
	if text := ann.text(t); strings.Contains(text, "bob") {
		t.Errorf("ann sees %q", text)
	}
	bob.disconnect(t, perUser)
	bob.wantState(t, perUser, "Not connected")
	g.wantUnauthorized(t, "bob", perUser, http.StatusUnauthorized)
	g.wantServed(t, "ann", perUser, "ann")
	if n := g.provider.Grants("bob"); n > 0 || g.provider.Grants("ann") != 1 {
		t.Errorf("bob has %d grants left, ann %d", n, g.provider.Grants("ann"))
	}
}

// TestOperators checks that a user who is no operator sees the state of the shared account and can
// do nothing with it, not even with a form of their own.
func TestOperators(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	ann, bob := g.visitor(t, "ann"), g.visitor(t, "bob")
	ann.open(t, g.console)
	g.connect(t, ann, shared, "eve")
	bob.open(t, g.console)
	bob.wantState(t, shared, "Connected")
	has := func(b *tab, name string) bool {
		return slices.ContainsFunc(b.buttons(t), func(text string) bool { return strings.Contains(text, name) })
	}
	if !has(ann, shared) || !has(ann, perUser) || has(bob, shared) || !has(bob, perUser) {
		t.Errorf("ann can press %q, bob %q", ann.buttons(t), bob.buttons(t))
	}
	before := g.provider.Requests.Load()
	for _, action := range []string{"connect", "refresh", "disconnect"} {
		bob.open(t, g.console)
		eval[any](t, bob, "document.querySelector('form').action = 'orders/"+action+"'; null")
		res := bob.clickCSS(t, "form button")
		g.wantRefused(t, bob, int(res.Status), http.StatusForbidden, "This is for operators")
	}
	g.provider.WantRequests(t, before)
	g.wantServed(t, "bob", shared, "eve")
	// The twin: the same form, sent by an operator.
	ann.open(t, g.console)
	eval[any](t, ann, "document.querySelector('form').action = 'orders/disconnect'; null")
	ann.clickCSS(t, "form button")
	ann.wantState(t, shared, "Not connected")
}

// TestCrossOrigin: a page of another site cannot press the buttons, although the browser signs
// its requests in.
func TestCrossOrigin(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	site := serve(t, map[string]string{"/": "<h1>Win a prize</h1><form method=post action='" + g.console + "orders/disconnect'><button>Win</button></form>"})
	b.open(t, site+"/")
	res := b.click(t, "Win")
	g.wantRefused(t, b, int(res.Status), http.StatusForbidden, "Another site asked for this")
	g.wantServed(t, "bob", shared, "eve")
	b.click(t, "To the connected accounts")
	b.wantState(t, shared, "Connected")
}

// TestReauthorize checks that the console says when the account's owner has withdrawn the grant at
// the provider, and that one press of its button repairs the connection.
func TestReauthorize(t *testing.T) {
	const life = 3 * time.Second
	g := newGateway(t, life, nil)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	g.provider.RevokeGrants("eve")
	res := b.clickCSS(t, "form[action='orders/refresh'] button")
	g.wantRefused(t, b, int(res.Status), http.StatusConflict, "The token could not be refreshed", "press Connect again")
	b.click(t, "To the connected accounts")
	b.wantState(t, shared, "Connected, renewal refused")
	// Until then the gateway sends the token that it has, and the API decides whether to refuse
	// it.
	time.Sleep(life)
	g.wantUnauthorized(t, "bob", shared, http.StatusServiceUnavailable)
	b.open(t, g.console)
	b.wantState(t, shared, "Must be connected again")
	g.connect(t, b, shared, "eve")
	g.wantServed(t, "bob", shared, "eve")
}
