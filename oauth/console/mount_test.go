// SPDX-License-Identifier: Apache-2.0

package console

import "testing"

// TestMounts has consoles below one another, with and without the outer mount stripped.
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

// TestNoMount has no datasource that would say where the console is mounted, and nothing stripped of the path.
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
	newBed(t, machine).do(ask{user: "ann", method: "POST", path: "/connect/machine/refresh", whole: true}).goesTo("../")
	machine.called(t, `renew ""`)
}
