// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestMounts has one console below another, with and without the outer mount stripped.
func TestMounts(t *testing.T) {
	crm, calendar := &fake{name: "crm"}, &fake{name: "calendar", base: "https://gw.example/connect/calendar/"}
	g := newBed(t, crm, calendar)
	for _, whole := range []bool{false, true} {
		for _, test := range []struct {
			method, path string
			status       int
			ds           *fake
			to           string
		}{
			{"POST", "/connect/crm/refresh", 303, crm, "../"},
			{"POST", "/connect/calendar/refresh", 303, calendar, "../"},
			{"POST", "/connect/calendar/crm/refresh", 303, crm, "../"},
			{"POST", "/connect/calendar/calendar/refresh", 303, calendar, "../"},
			{"GET", "/connect/", 200, nil, ""},
			{"GET", "/connect/calendar/", 200, nil, ""},
			{"GET", "/connect/calendar", 303, nil, "./calendar/"},
			{"GET", "/connect/calendar/other", 404, nil, ""},
			{"POST", "/connect/other/calendar/refresh", 404, nil, ""},
		} {
			crm.take()
			calendar.take()
			a := g.do(ask{user: "ann", method: test.method, path: test.path, whole: whole})
			if test.ds != nil {
				test.to = card("../", test.ds, didRefresh)
			}
			if a.Code != test.status || a.Header().Get("Location") != test.to {
				t.Errorf("%s %s: %d %q, want %d %q", test.method, test.path, a.Code, a.Header().Get("Location"), test.status, test.to)
			}
			for _, ds := range []*fake{crm, calendar} {
				if calls := ds.take(); (calls == `renew ""`) != (ds == test.ds) {
					t.Errorf("%s %s: %s was asked to %q", test.method, test.path, ds.name, calls)
				}
			}
		}
	}
}

// TestNoMount has no datasource that would say where the console is mounted, and nothing stripped
// from the path.
func TestNoMount(t *testing.T) {
	machine := &fake{name: "machine", machine: true}
	for _, g := range []*bed{newBed(t), newBed(t, machine)} {
		for _, test := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/connect/", 200},
			{"GET", "/", 200},
			{"POST", "/connect/", 405},
			{"GET", "/connect/other", 404},
			{"GET", "/connect/machine/refresh", 405},
			{"POST", "/connect/none/refresh", 404},
			{"GET", "/connect/callback", 404},
		} {
			g.do(ask{user: "ann", method: test.method, path: test.path, whole: true}).is(test.status)
		}
		g.do(ask{path: "/connect/", whole: true}).is(403)
	}
	newBed(t).do(ask{user: "ann", path: "/connect/", whole: true}).is(200).shows("There is nothing to connect yet")
	machine.take()
	newBed(t, machine).do(ask{user: "ann", method: "POST", path: "/connect/machine/refresh", whole: true}).goesTo("../?at=machine&did=refreshed#account-machine")
	machine.called(t, `renew ""`)
}

// TestStrippedPrefix has a proxy in front that strips a prefix from the path, and Caddy rewriting
// the rest or not. The browser is at the public address, so each link of the console must lead to
// a place below it.
func TestStrippedPrefix(t *testing.T) {
	for name, test := range map[string]struct {
		public string                           // the console's path
		sent   func(path string) string         // as Caddy gets it
		then   func(path string) (after string) // as the console gets it; nil: the same
	}{
		"handle":                  {"/gw/connect/", cut("/gw"), nil},
		"handle_path":             {"/gw/connect/", cut("/gw"), cut("/connect")},
		"rewrite, handle":         {"/gw/connect/", cut("/gw"), func(path string) string { return "/gw" + path }},
		"rewrite, handle_path":    {"/gw/connect/", cut("/gw"), cut("/connect")},
		"the whole prefix":        {"/gw/connect/", cut("/gw/connect"), nil},
		"two segments":            {"/a/b/connect/", cut("/a/b"), nil},
		"two of three":            {"/a/b/c/", cut("/a/b"), cut("/c")},
		"a host of its own":       {"/gw/", cut("/gw"), nil},
		"nothing is stripped":     {"/gw/connect/", cut(""), nil},
		"handle_path in front":    {"/gw/connect/", cut(""), cut("/gw")},
		"handle_path, both":       {"/gw/connect/", cut(""), cut("/gw/connect")},
		"another prefix by Caddy": {"/gw/connect/", func(path string) string { return "/in" + path }, cut("/in")},
	} {
		t.Run(name, func(t *testing.T) {
			ds := &fake{name: "crm", base: "https://gw.example" + test.public}
			g := newBed(t, ds)
			visit := func(method, path string, cookies ...*http.Cookie) *answer {
				t.Helper()
				at, _, _ := strings.Cut(path, "?")
				r := httptest.NewRequest(method, "https://gw.example"+test.sent(path), nil)
				for _, c := range cookies {
					r.AddCookie(c)
				}
				return g.serveAt(r, "ann", "", func(p string) string {
					if test.then == nil {
						return p
					}
					return test.then(test.sent(at))
				})
			}
			visit("GET", test.public).is(200).shows(`action="crm/connect"`)
			a := visit("POST", test.public+"crm/connect").is(303)
			state, cookie := a.state(), a.fresh()
			if to := visit("POST", test.public+"crm/refresh").is(303).Header().Get("Location"); to != card("../", ds, didRefresh) {
				t.Errorf("Refresh leads to %q", to)
			}
			visit("GET", test.public+"other/place").is(404)
			visit("GET", test.public+"callback?state=x&code=c").is(400).says(messageNoFlow.Title)
			visit("GET", test.public+"callback?code=c&state="+url.QueryEscape(state), cookie).goesTo(card(ds.base, ds, didConnect))
			if test.sent(test.public) == "/" {
				return // there is nothing to add a slash to
			}
			if to := visit("GET", strings.TrimSuffix(test.public, "/")).is(303).Header().Get("Location"); to != "./"+path.Base(test.public)+"/" {
				t.Errorf("without a slash at the end it leads to %q", to)
			}
		})
	}
}

// TestRoutes checks paths and methods, with and without the mount stripped.
func TestRoutes(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	for _, whole := range []bool{false, true} {
		for _, test := range []struct {
			method, path string
			status       int
			more         string // Allow, Location, or the address of the page's link
		}{
			{"GET", "/connect/", 200, ""},
			{"HEAD", "/connect/", 200, ""},
			{"POST", "/connect/", 405, "GET, HEAD"},
			{"GET", "/connect/crm/connect", 405, "POST"},
			{"GET", "/connect/none/connect", 405, "POST"},
			{"HEAD", "/connect/crm/connect", 405, "POST"},
			{"PUT", "/connect/crm/connect", 405, "POST"},
			{"GET", "/connect/crm", 404, "./"},
			{"GET", "/connect/crm/", 404, "../"},
			{"GET", "/connect/crm/delete", 404, "../"},
			{"POST", "/connect/crm/delete", 404, "../"},
			{"POST", "/connect//connect", 404, "../"},
			{"POST", "/connect/a/crm/connect", 404, "../../"},
			{"POST", "/connect/crm/connect/", 404, "../../"},
			{"POST", "/connect/crm/refresh", 303, "../?at=crm&did=refreshed#account-crm"},
			{"GET", "/connect/crm/disconnect", 303, "../?at=crm#account-crm"}, // nothing is connected
			{"HEAD", "/connect/crm/disconnect", 303, "../?at=crm#account-crm"},
			{"PUT", "/connect/crm/disconnect", 405, "GET, HEAD, POST"},
			{"GET", "/connect/none/disconnect", 404, "../"},
			{"POST", "/connect/crm/disconnect", 303, "../?at=crm&did=disconnected#account-crm"},
			{"GET", "/connect", 303, "./connect/"},
			{"GET", "/connect?ticket=ticket-for-crm", 303, "./connect/?ticket=ticket-for-crm"},
		} {
			a := g.do(ask{user: "ann", method: test.method, path: test.path, whole: whole}).is(test.status)
			got := ""
			switch test.status {
			case 303:
				got = a.Header().Get("Location")
			case 404:
				if m := regexp.MustCompile(`href="([^"]*)"`).FindStringSubmatch(a.Body.String()); m != nil {
					got = m[1]
				}
			case 405:
				got = a.Header().Get("Allow")
			}
			if got != test.more {
				t.Errorf("%s %s: %q, want %q", test.method, test.path, got, test.more)
			}
			if (a.Body.Len() == 0) != (test.method == "HEAD" || test.status == 303) {
				t.Errorf("%s %s: the body has %d bytes", test.method, test.path, a.Body.Len())
			}
			if a.skipped != strings.Contains(test.path, "ticket") {
				t.Errorf("%s %s: left out of the log: %t", test.method, test.path, a.skipped)
			}
		}
	}
}
