// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// TestConnect: an account is connected, serves for longer than three tokens live, is
// disconnected, and connected again.
func TestConnect(t *testing.T) {
	const life = 2 * time.Second
	g := newGateway(t, life, nil)
	g.provider.SetRotation(provider.RotateStrict, 0)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	b.wantState(t, shared, "Not connected")
	g.wantUnauthorized(t, "bob", shared, http.StatusServiceUnavailable)
	g.connect(t, b, shared, "eve")
	if got := g.callbacks(b); len(got) != 1 {
		t.Errorf("the browser was sent to %q", got)
	}
	served := g.callAlong(t, "bob", shared, "eve", 3*life+life/2)
	if n := g.provider.Requests.Load(); n < 4 {
		t.Errorf("%d token requests have come, so there were no three expiries", n)
	}
	t.Logf("%d calls were served, with %d token requests", served, g.provider.Requests.Load())
	if n := g.provider.Revoked(); n > 0 {
		t.Errorf("%d spent refresh tokens were redeemed", n)
	}

	b.reload(t)
	b.wantState(t, shared, "Connected")
	before := g.provider.Requests.Load()
	b.clickCSS(t, "form[action='orders/refresh'] button")
	b.wantState(t, shared, "Connected")
	if n := g.provider.Requests.Load() - before; n < 1 {
		t.Errorf("the button Refresh makes %d token requests", n)
	}
	b.disconnect(t, shared)
	b.wantState(t, shared, "Not connected")
	if n := g.provider.Grants("eve"); n > 0 || g.provider.RevokedTokens() == 0 {
		t.Errorf("%d grants are left, %d tokens were revoked", n, g.provider.RevokedTokens())
	}
	g.wantUnauthorized(t, "bob", shared, http.StatusServiceUnavailable)

	g.connect(t, b, shared, "bob")
	g.wantServed(t, "ann", shared, "bob")
	g.wantNoCallbackLogged(t)
}

// callAlong has programs call an API through the gateway for a time, and fails the test if any
// call fails.
func (g *gateway) callAlong(t testing.TB, user, datasource, account string, d time.Duration) int64 {
	t.Helper()
	var served atomic.Int64
	var programs sync.WaitGroup
	for range 4 {
		programs.Go(func() {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(10 * time.Millisecond) {
				if got, err := g.get(user, datasource); err != nil || got != (reply{Status: http.StatusOK, User: account}) {
					t.Errorf("after %v: %+v, %v", time.Since(begin), got, err)
				}
				served.Add(1)
			}
		})
	}
	programs.Wait()
	return served.Load()
}

// wantNoCallbackLogged fails the test if a callback's URL, which has a code in it, is in Caddy's
// log, or none of the console's is.
func (g *gateway) wantNoCallbackLogged(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(g.log())
	if err != nil || !strings.Contains(string(text), `"uri":"/connect/"`) {
		t.Errorf("there is no access log, %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "callback?") || strings.Contains(line, "code=") {
			t.Errorf("the log has a callback in it: %.500s", line)
		}
	}
}

// TestReload checks that a repeated callback says that all is well, and asks no server.
func TestReload(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	requests := g.provider.Requests.Load()
	callback := g.callbacks(b)[0]
	if !strings.Contains(callback, "code=") {
		t.Fatalf("the browser was sent to %q", callback)
	}
	res := b.open(t, callback)
	g.wantRefused(t, b, int(res.Status), http.StatusOK, "The account is connected", "already connected")
	b.reload(t)
	b.wantText(t, "already connected")
	other := g.tab(t, b)
	res = other.open(t, callback)
	g.wantRefused(t, other, int(res.Status), http.StatusOK, "already connected")
	g.provider.WantRequests(t, requests)
	if n := g.provider.CodesReused(); n > 0 {
		t.Errorf("%d codes were redeemed twice", n)
	}
	g.wantServed(t, "bob", shared, "eve")
	other.click(t, "To the connected accounts")
	other.wantState(t, shared, "Connected")
}

// TestBack checks that going back after connecting, and pressing buttons again, does no harm.
func TestBack(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	b.back(t) // the provider's page, at which there is nothing left to do
	b.back(t)
	if at := b.location(t); at != g.console {
		t.Fatalf("the button leads to %s", at)
	}
	g.wantServed(t, "bob", shared, "eve")
	// Whatever the page shows, its button begins again; the account stays connected until another
	// one is.
	b.begin(t, shared)
	g.wantServed(t, "bob", shared, "eve")
	b.allow(t, "bob")
	b.wantState(t, shared, "Connected")
	g.wantServed(t, "bob", shared, "bob")

	// The provider's form once more, as of a page that the browser has kept: the provider refuses
	// it, and nothing changes.
	b.open(t, g.console)
	b.begin(t, shared)
	login := b.location(t)
	b.allow(t, "eve")
	b.wantState(t, shared, "Connected")
	b.open(t, login)
	g.wantServed(t, "bob", shared, "eve")
	if n := g.provider.CodesReused(); n > 0 {
		t.Errorf("%d codes were redeemed twice", n)
	}
}

// TestDeny checks that a user who denies access is told so in plain words, and that every other
// error is told in fixed words.
func TestDeny(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	b.begin(t, shared)
	res := b.clickCSS(t, "button[value=deny]")
	g.wantRefused(t, b, int(res.Status), http.StatusBadRequest, "You declined", "Nothing was connected")
	if text := b.text(t); !strings.Contains(g.callbacks(b)[0], "denied+it") || strings.Contains(text, "denied it") {
		t.Errorf("%q is answered with %q", g.callbacks(b), text)
	}
	b.click(t, "To the connected accounts")
	b.wantState(t, shared, "Not connected")
	g.provider.WantRequests(t, 0)

	for _, test := range []struct {
		parameters url.Values
		want       string
	}{
		{url.Values{"error": {"server_error"}}, "The provider failed"},
		{url.Values{"error": {"<b>Canary</b>"}}, "a reason that this gateway does not know"},
		{url.Values{"error": {"Canary"}, "error_description": {"<script>document.title = 'Canary'</script>"}, "error_uri": {"https://canary.example/"}}, "does not know"},
		{url.Values{"error": {"invalid_scope"}, "error_description": {"Call the Canary at +1 555 0100"}}, "does not grant this"},
		{url.Values{"iss": {"https://canary.example"}, "code": {"Canary"}}, "Another provider sent you back"},
		{url.Values{"canary": {"Canary"}}, "incomplete"},
	} {
		b.open(t, g.console)
		b.begin(t, shared)
		res := b.open(t, g.callback(t, test.parameters))
		g.wantRefused(t, b, int(res.Status), http.StatusBadRequest, test.want)
		if page := eval[string](t, b, "document.documentElement.outerHTML"); strings.Contains(strings.ToLower(page), "canary") {
			t.Errorf("%v comes back in the page: %s", test.parameters, page)
		}
	}
	g.provider.WantRequests(t, 0)
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	b.begin(t, shared)
	b.clickCSS(t, "button[value=deny]")
	g.wantServed(t, "bob", shared, "eve")
}

// TestProviderFails: what goes wrong behind the callback is said in plain words, and harms
// nothing.
func TestProviderFails(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	for _, test := range []struct {
		name       string
		prepare    func()
		want, hint string
	}{
		{"down", func() { g.provider.Status.Store(500) }, "could not be connected", "again"},
		{"refused", func() { g.provider.FailNext(401, `{"error":"invalid_client","error_description":"Canary<b>"}`) }, "client id and secret", "log"},
		{"spent", func() { g.provider.FailNext(400, `{"error":"invalid_grant","error_description":"Canary<b>"}`) }, "does not accept the code", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.open(t, g.console)
			b.begin(t, shared)
			test.prepare()
			status := b.allow(t, "eve")
			g.provider.Status.Store(0)
			g.wantRefused(t, b, status, http.StatusBadGateway, test.want, test.hint)
			// Ann is an operator: she sees why, as text that is the provider's.
			if said := test.name != "down"; strings.Contains(b.text(t), "The provider says: Canary<b>") != said {
				t.Errorf("the page shows %q", b.text(t))
			}
			b.click(t, "To the connected accounts")
			b.wantText(t, "The last attempt to connect an account has failed")
		})
	}
	b.show(t, "console-failed-connect")
	g.connect(t, b, shared, "eve")
	if text := b.text(t); strings.Contains(text, "has failed") {
		t.Errorf("the page shows %q", text)
	}
	g.wantServed(t, "bob", shared, "eve")
}

// TestNavigation: a person who opens an API that is not connected sees a page with a link to the
// console, and a script or a program gets a problem that it can read.
func TestNavigation(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "bob")
	b.login(t, "bob", "bob") // Chromium forgets a password when it gets any 401
	for _, test := range []struct {
		datasource string
		status     int
		title      string
	}{
		{shared, http.StatusServiceUnavailable, "orders is not connected"},
		{perUser, http.StatusUnauthorized, "Your account for mail is not connected"},
	} {
		target := g.url + "/" + test.datasource + "/x"
		if res := b.open(t, target); int(res.Status) != test.status || res.MimeType != "text/html" {
			t.Errorf("%s answers %d %s", target, res.Status, res.MimeType)
		}
		b.wantText(t, test.title)
		b.wantAccessible(t)
		b.open(t, g.url+"/blank")
		got := eval[[]string](t, b, fmt.Sprintf("fetch(%s).then(async r => [String(r.status), r.headers.get('Content-Type'), await r.text()])", quoted(target)))
		if want := []string{fmt.Sprint(test.status), "application/problem+json"}; len(got) != 3 || !slices.Equal(got[:2], want) || !strings.Contains(got[2], g.console) {
			t.Errorf("a script gets %q", got)
		}
	}
	target := g.url + "/" + perUser + "/x"
	b.open(t, target)
	b.click(t, "Connect")
	b.wantText(t, "Back to /mail/x")
	g.connect(t, b, perUser, "bob")
	if res := b.click(t, "Back to /mail/x"); res.Status != http.StatusOK || b.location(t) != target {
		t.Errorf("the way back leads to %s, which answers %d", b.location(t), res.Status)
	}
	b.wantText(t, `"bob"`)
}
