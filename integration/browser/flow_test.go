// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// flows returns the cookies of the flows that a browser has begun.
func (g *gateway) flows(t testing.TB, b *tab) (cookies []*network.Cookie) {
	t.Helper()
	res, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{g.console}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies {
		if strings.Contains(c.Name, "authenticated_api_flow_") {
			cookies = append(cookies, c)
		}
	}
	return cookies
}

// flow returns the one cookie of a flow that a browser has.
func (g *gateway) flow(t testing.TB, b *tab) *network.Cookie {
	t.Helper()
	cookies := g.flows(t, b)
	if len(cookies) != 1 {
		t.Fatalf("there are %d flows in the browser", len(cookies))
	}
	return cookies[0]
}

// plant puts a cookie of a flow into a browser, in place of the one of that name.
func (g *gateway) plant(t testing.TB, b *tab, c *network.Cookie) {
	t.Helper()
	yes := true
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{
		Name: c.Name, Value: c.Value, URL: g.console, Path: "/", HTTPOnly: &yes, Secure: &c.Secure, SameSite: network.CookieSameSiteLax,
		Expires: cdp.TimeSinceEpoch(time.Now().Add(time.Hour).Unix()),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// forget removes a cookie from a browser.
func (g *gateway) forget(t testing.TB, b *tab, c *network.Cookie) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, URL: g.console}); err != nil {
		t.Fatal(err)
	}
}

// aged returns the cookie of a flow as it would be if the flow had begun so much earlier.
func (g *gateway) aged(t testing.TB, c *network.Cookie, by time.Duration) *network.Cookie {
	t.Helper()
	key, err := seal.ParseKey(g.key)
	if err != nil {
		t.Fatal(err)
	}
	flow, err := oauth.OpenFlow(seal.NewRing(key), c.Name[len(c.Name)-32:], c.Value)
	if err != nil {
		t.Fatalf("opening the flow %s: %v", c.Name, err)
	}
	flow.Began = flow.Began.Add(-by)
	old := *c
	if old.Value, err = flow.Seal(seal.NewRing(key)); err != nil {
		t.Fatal(err)
	}
	return &old
}

// TestFlow: a flow ends in the browser in which it was begun, within ten minutes, and nowhere
// else.
func TestFlow(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "ann")
	const foreign = "This did not begin in this browser, or too long ago"
	for _, test := range []struct {
		name   string
		change func(*testing.T, *network.Cookie)
		want   string // "": it succeeds
	}{
		{"untouched", func(*testing.T, *network.Cookie) {}, ""},
		{"nine minutes old", func(t *testing.T, c *network.Cookie) { g.plant(t, b, g.aged(t, c, 9*time.Minute)) }, ""},
		{"ten minutes old", func(t *testing.T, c *network.Cookie) { g.plant(t, b, g.aged(t, c, 10*time.Minute)) }, "That took longer than ten minutes"},
		{"of tomorrow", func(t *testing.T, c *network.Cookie) { g.plant(t, b, g.aged(t, c, -24*time.Hour)) }, "That took longer than ten minutes"},
		{"gone", func(t *testing.T, c *network.Cookie) { g.forget(t, b, c) }, foreign},
		{"cut", func(t *testing.T, c *network.Cookie) {
			cut := *c
			cut.Value = cut.Value[:len(cut.Value)/2]
			g.plant(t, b, &cut)
		}, foreign},
		{"changed", func(t *testing.T, c *network.Cookie) {
			changed := *c
			last := byte('A')
			if changed.Value[60] == last {
				last = 'B'
			}
			changed.Value = changed.Value[:60] + string(last) + changed.Value[61:]
			g.plant(t, b, &changed)
		}, foreign},
		{"under another name", func(t *testing.T, c *network.Cookie) {
			g.forget(t, b, c)
			other := *c
			other.Name = other.Name[:len(other.Name)-32] + strings.Repeat("0", 32)
			g.plant(t, b, &other)
		}, foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range g.flows(t, b) {
				g.forget(t, b, c)
			}
			b.open(t, g.console)
			b.begin(t, shared)
			test.change(t, g.flow(t, b))
			before := g.provider.Requests.Load()
			status := b.allow(t, "eve")
			if test.want == "" {
				b.wantState(t, shared, "Connected")
				b.disconnect(t, shared)
			} else {
				g.wantRefused(t, b, status, http.StatusBadRequest, test.want, "Nothing was connected")
				g.provider.WantRequests(t, before)
				b.open(t, g.console)
			}
			b.wantState(t, shared, "Not connected")
		})
	}
}

// TestForeign checks that a callback of one browser does nothing in another browser, no matter who
// is signed in there, and works in its own.
func TestForeign(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	bob := g.visitor(t, "bob")
	bob.open(t, g.console)
	bob.begin(t, perUser)
	callback := g.provider.Login(t, nil, g.authorizationURL(t), "eve") // and stays there
	if status, _, err := g.send("", strings.TrimPrefix(callback, g.url)); err != nil || status != http.StatusUnauthorized {
		// basic_auth in front of the console answers this request.
		t.Errorf("nobody is answered with %d, %v", status, err)
	}
	for _, user := range []string{"ann", "bob"} {
		b := g.visitor(t, user)
		if user == "ann" { // who has a flow of her own under way
			b.open(t, g.console)
			b.begin(t, perUser)
		}
		res := b.open(t, callback)
		g.wantRefused(t, b, int(res.Status), http.StatusBadRequest, "This did not begin in this browser, or too long ago", "Nothing was connected")
		b.open(t, g.console)
		b.wantState(t, perUser, "Not connected")
	}
	// Ann uses bob's browser, so she is not the user who has begun the flow.
	ann := g.visitor(t, "ann")
	c := g.flow(t, bob)
	ann.open(t, g.console)
	g.plant(t, ann, c)
	res := ann.open(t, callback)
	g.wantRefused(t, ann, int(res.Status), http.StatusBadRequest, "Somebody else began this")
	g.provider.WantRequests(t, 0)

	bob.open(t, callback)
	bob.wantState(t, perUser, "Connected")
	g.wantServed(t, "bob", perUser, "eve")
	g.wantUnauthorized(t, "ann", perUser, http.StatusUnauthorized)
}
