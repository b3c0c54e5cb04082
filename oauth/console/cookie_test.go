// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// TestCookie checks the attributes of a flow's cookie.
func TestCookie(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect"}).is(http.StatusSeeOther)
	cookie := a.fresh()
	if cookie.Name != "__Host-authenticated_api_flow_"+oauth.FlowID(a.state()) || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
		cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 600 {
		t.Errorf("the cookie is %s", cookie)
	}
	if !a.skipped {
		t.Error("the access log has the state in it")
	}
	if len(cookie.String()) > 1000 {
		t.Errorf("the cookie has %d bytes", len(cookie.String()))
	}
}

// TestTooManyFlows checks that a 25th flow removes the oldest one, and that cookies which cannot
// be opened are removed.
func TestTooManyFlows(t *testing.T) {
	for _, test := range []struct{ live, want int }{{0, 0}, {23, 0}, {24, 1}, {30, 7}} {
		g := newBed(t, &fake{name: "crm"})
		var jar []*http.Cookie
		var oldest []string
		for i := range test.live { // the youngest first
			flow := &oauth.Flow{State: "s" + strconv.Itoa(i), Datasource: "crm", User: "ann", Began: time.Now().Add(-time.Duration(i+1) * 10 * time.Second)}
			cookie := sealed(t, g, flow)
			jar = append(jar, cookie)
			if i >= test.live-test.want {
				oldest = append(oldest, cookie.Name)
			}
		}
		late := sealed(t, g, &oauth.Flow{State: "late", Datasource: "crm", User: "ann", Began: time.Now().Add(-time.Hour)})
		broken := &http.Cookie{Name: cookieName(oauth.FlowID("broken"), false), Value: "x"}
		foreign := []*http.Cookie{
			{Name: "session", Value: "x"},
			{Name: "authenticated_api_flow_", Value: "x"},
			{Name: "authenticated_api_flow_ABCDEFABCDEFABCDEFABCDEFABCDEFAB", Value: "x"},
		}
		a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", cookies: slices.Concat(jar, foreign, []*http.Cookie{late, broken, broken})})
		a.is(http.StatusSeeOther).fresh()
		got, want := a.expired(), append(oldest, late.Name, broken.Name)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("with %d flows %q are expired, want %q", test.live, got, want)
		}
		for _, cookie := range a.Result().Cookies() {
			if cookie.Secure != (cookie.Name != broken.Name) || cookie.Path != "/" {
				t.Errorf("browsers do not take %s", cookie)
			}
		}
	}
}

// TestTwentyTabs begins twenty flows in one browser, and ends them in another order.
func TestTwentyTabs(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	var jar []*http.Cookie
	var states []string
	for range 20 {
		state, cookie := g.connect("ann", "", "crm", jar...)
		jar, states = append(jar, cookie), append(states, state)
	}
	ds.take()
	for i := range states {
		g.do(ask{user: "ann", path: back(states[(i*7)%20], "code", "c"), cookies: jar}).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm")
		ds.called(t, `finish "" "c"`)
	}
}
