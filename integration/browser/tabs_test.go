// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// TestDoubleClick checks that an impatient user is connected too, and that no code is redeemed
// twice.
func TestDoubleClick(t *testing.T) {
	for name, delay := range map[string]time.Duration{"fast provider": 0, "slow provider": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, time.Minute, nil)
			g.provider.Delay.Store(int64(delay))
			b := g.visitor(t, "ann")
			b.open(t, g.console)
			b.doubleClick(t, "form[action='orders/connect'] button")
			b.wantText(t, "Test provider")
			b.fillIn(t, "eve")
			b.doubleClick(t, "button[value=allow]")
			// A second click that comes after the code was redeemed gets the provider's own page.
			if done := "no such request, or it is done"; b.wantEither(t, "Connected accounts", done) == done {
				b.open(t, g.console)
			}
			b.wantText(t, "Connected accounts")
			b.wantState(t, shared, "Connected")
			g.wantServed(t, "bob", shared, "eve")
			if n := g.provider.CodesReused(); n > 0 {
				t.Errorf("%d codes were redeemed twice", n)
			}
			b.doubleClick(t, "form[action='orders/refresh'] button")
			b.wantText(t, "The provider has issued a new token.")
			b.wantState(t, shared, "Connected")
			b.doubleClick(t, "form[action='orders/disconnect'] button")
			b.wantText(t, "Disconnect orders?")
			b.doubleClick(t, "form[action='disconnect'] button")
			b.wantText(t, "Callers are refused until somebody connects an account.")
			b.wantState(t, shared, "Not connected")
		})
	}
}

// TestTwoTabs: two flows of one browser go on side by side, each with its own datasource.
func TestTwoTabs(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	first := g.visitor(t, "ann")
	second := g.tab(t, first)
	first.open(t, g.console)
	first.begin(t, shared)
	second.open(t, g.console)
	second.begin(t, perUser)
	if n := len(g.flows(t, first)); n != 2 {
		t.Errorf("there are %d flows in the browser", n)
	}
	first.allow(t, "eve")
	first.wantState(t, shared, "Connected")
	first.wantState(t, perUser, "Not connected")
	second.allow(t, "ann")
	second.wantState(t, shared, "Connected")
	second.wantState(t, perUser, "Connected")
	g.wantServed(t, "bob", shared, "eve")
	g.wantServed(t, "ann", perUser, "ann")
	g.wantUnauthorized(t, "bob", perUser, http.StatusUnauthorized)
}

// TestTwentyTabs: twenty flows of one browser end one after the other, and the last one counts.
// The gateway is loaded again in the meantime.
func TestTwentyTabs(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	tabs := make([]*tab, 20)
	for i := range tabs {
		tabs[i] = g.tab(t, b)
		tabs[i].open(t, g.console)
		// A real mouse click is slow in hidden tabs.
		eval[any](t, tabs[i], "document.querySelector(\"form[action='orders/connect'] button\").click()")
		tabs[i].wantText(t, "Test provider")
	}
	if n := len(g.flows(t, b)); n != len(tabs) {
		t.Errorf("there are %d flows in the browser", n)
	}
	for i, b := range tabs {
		if i == len(tabs)/2 {
			g.load(t)
		}
		account := []string{"ann", "bob", "eve"}[i%3]
		eval[any](t, b, fmt.Sprintf("username.value = %s; password.value = %s; document.querySelector('button[value=allow]').click()",
			quoted(account), quoted(provider.Password(account))))
		b.wantText(t, "Connected accounts")
		b.wantState(t, shared, "Connected")
		g.wantServed(t, "bob", shared, account)
	}
	g.provider.WantRequests(t, int64(len(tabs)))
}
