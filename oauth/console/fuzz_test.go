// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// fuzzFlow is the one flow that a fuzzed browser has begun.
func fuzzFlow() *oauth.Flow {
	return &oauth.Flow{State: "the-state", Verifier: "the-verifier", Datasource: "crm", User: "ann", Began: time.Now()}
}

// mustFit checks that no code was redeemed except for the flow that this browser has begun.
func mustFit(t *testing.T, ds *fake, r *http.Request, cookie *http.Cookie) {
	t.Helper()
	if len(ds.flows) == 0 {
		return
	}
	query := r.URL.Query()
	if r.Method != http.MethodGet || len(query["state"]) != 1 || query.Get("state") != "the-state" || len(query["code"]) != 1 ||
		query.Get("error") != "" {
		t.Fatalf("a code was redeemed for %s %s", r.Method, r.URL)
	}
	for _, c := range r.Cookies() {
		if c.Name == cookie.Name && c.Value == cookie.Value {
			return
		}
	}
	t.Fatalf("a code was redeemed for the cookies %v", r.Cookies())
}

// FuzzCallback sends arbitrary requests. The handler never panics, and redeems a code only if
// cookie and state fit.
func FuzzCallback(f *testing.F) {
	ds := &fake{name: "crm"}
	g := newBed(f, ds)
	cookie := sealed(f, g, fuzzFlow())
	for _, head := range []string{
		"GET /connect/callback?state=the-state&code=c HTTP/1.1\r\nHost: gw.example\r\nCookie: " + cookie.Name + "=" + cookie.Value,
		"GET /connect/callback?state=the-state&error=access_denied HTTP/1.1\r\nHost: gw.example\r\nCookie: " + cookie.Name + "=" + cookie.Value,
		"GET /connect/callback?state=the-state&code=c HTTP/1.1\r\nHost: gw.example",
		"HEAD /connect/callback?state=the-state&state=x&code=c HTTP/1.1\r\nHost: gw.example\r\nEarly-Data: 1",
		"POST /connect/crm/connect HTTP/1.1\r\nHost: gw.example\r\nOrigin: https://gw.example\r\nSec-Fetch-Site: same-origin\r\nContent-Type: " +
			"application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nticket=expired",
		"GET /connect/?ticket=x HTTP/1.1\r\nHost: gw.example",
		"GET //connect/..%2f HTTP/1.1\r\nHost: gw.example",
		"OPTIONS * HTTP/1.1\r\nHost: gw.example",
	} {
		f.Add(head+"\r\n\r\n", "ann", true)
	}
	f.Fuzz(func(t *testing.T, raw, user string, whole bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		cookie := cookie // it may be another process's, from the corpus: any that opens will do
		for _, c := range r.Cookies() {
			if flow, err := oauth.OpenFlow(g.keys, oauth.FlowID("the-state"), c.Value); err == nil && flow.State == "the-state" {
				cookie = &http.Cookie{Name: cookie.Name, Value: c.Value}
			}
		}
		a := g.serve(r, user, "", whole)
		if a.Code < 200 || a.Code > 599 || a.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("status %d, header %v", a.Code, a.Header())
		}
		if user == "" && a.Code == http.StatusOK && r.URL.Query().Get("ticket") == "" {
			t.Fatalf("nobody gets %s", a.Body)
		}
		mustFit(t, ds, r, cookie)
	})
}

// FuzzCookie gives the callback arbitrary values of the flow's cookie. Only the sealed flow is
// accepted.
func FuzzCookie(f *testing.F) {
	cookie := sealed(f, newBed(f), fuzzFlow())
	f.Add(cookie.Value)
	f.Add(cookie.Value[:len(cookie.Value)-1])
	f.Add(cookie.Value + "=")
	f.Add(strings.ToUpper(cookie.Value))
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		a := g.do(ask{user: "ann", path: back("the-state", "code", "c"), cookies: []*http.Cookie{{Name: cookie.Name, Value: value}}})
		// net/http drops bytes that a cookie cannot hold.
		r := http.Request{Header: http.Header{}}
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		good := false
		for _, c := range r.Cookies() {
			flow, err := oauth.OpenFlow(g.keys, oauth.FlowID("the-state"), c.Value)
			good = err == nil && flow.State == "the-state" && !flow.Expired(time.Now())
		}
		if good != (a.Code == http.StatusSeeOther) || good != (len(ds.flows) == 1) {
			t.Fatalf("status %d, redeemed %d times", a.Code, len(ds.flows))
		}
		if value == cookie.Value && !good {
			t.Fatal("the cookie does not open")
		}
	})
}

// FuzzState gives the callback arbitrary states. Only the flow's own is accepted.
func FuzzState(f *testing.F) {
	cookie := sealed(f, newBed(f), fuzzFlow())
	for _, state := range []string{"the-state", "the-state ", "THE-STATE", "", "the-state\x00", "x"} {
		f.Add(state)
	}
	f.Fuzz(func(t *testing.T, state string) {
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		query := url.Values{"state": {state}, "code": {"c"}}
		// The cookie has its own name once, and once the name that belongs to the state.
		other := &http.Cookie{Name: cookieName(oauth.FlowID(state), true), Value: cookie.Value}
		a := g.do(ask{user: "ann", path: "/connect/callback?" + query.Encode(), cookies: []*http.Cookie{cookie, other}})
		if good := state == "the-state"; good != (a.Code == http.StatusSeeOther) || good != (len(ds.flows) == 1) {
			t.Fatalf("state %q: status %d, redeemed %d times", state, a.Code, len(ds.flows))
		}
	})
}
