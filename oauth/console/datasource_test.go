// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const idnBase = "https://bücher.example/connect/"

// neighbours returns the datasources of two sites of one Caddy, one at another port of the second
// site, and one that belongs to no site.
func neighbours() (a, b, port, machine *fake) {
	return &fake{name: "crm", base: "https://a.example/connect/"}, &fake{name: "mail", base: "https://b.example/connect/", perUser: true},
		&fake{name: "wiki", base: "https://b.example:8443/connect/"}, &fake{name: "machine", machine: true}
}

// TestNeighbours has a user of one site ask for the datasources of another site of the same Caddy:
// they are not there.
func TestNeighbours(t *testing.T) {
	for host, there := range map[string]string{
		"a.example":      "crm machine",
		"A.Example:443":  "crm machine",
		"a.example.":     "crm machine",
		"a.example.:443": "crm machine",
		"a.example:x":    "crm machine", // Caddy's host matcher takes it for a.example too
		"b.example":      "mail wiki machine",
		"c.example":      "crm mail wiki machine", // a proxy in front has rewritten the Host
		"10.0.0.1:8080":  "crm mail wiki machine",
		"[::1]:8080":     "crm mail wiki machine",
	} {
		t.Run(host, func(t *testing.T) {
			crm, mail, wiki, machine := neighbours()
			g := newBed(t, crm, mail, wiki, machine)
			page := g.at(host, ask{user: "ann", account: "ann", path: "/connect/"}).is(200)
			for _, ds := range []*fake{crm, mail, wiki, machine} {
				if !slices.Contains(strings.Fields(there), ds.name) {
					page.hides("name-" + ds.name)
					for _, action := range []string{"connect", "refresh", "disconnect"} {
						g.at(host, ask{user: "ann", account: "ann", method: "POST", path: "/connect/" + ds.name + "/" + action}).is(404)
					}
					ticket := "ticket-for-" + ds.name
					if ds.perUser {
						ticket += "/ann"
					}
					g.at(host, ask{path: "/connect/?ticket=" + ticket}).is(403).says(messageTicketBad.Title)
					g.at(host, ask{method: "POST", path: "/connect/" + ds.name + "/connect", body: "ticket=" + ticket}).is(403)
					ds.called(t, "")
					continue
				}
				page.shows("name-" + ds.name)
				g.at(host, ask{user: "ann", account: "ann", method: "POST", path: "/connect/" + ds.name + "/refresh"}).is(303)
			}
		})
	}
}

// TestNeighboursCallback ends a flow at the callback of another site, which has the same path.
func TestNeighboursCallback(t *testing.T) {
	crm, mail, wiki, machine := neighbours()
	g := newBed(t, crm, mail, wiki, machine)
	begun := g.at("a.example", ask{user: "ann", method: "POST", path: "/connect/crm/connect"}).is(303)
	back := ask{user: "ann", path: back(begun.state(), "code", "c"), cookies: []*http.Cookie{begun.fresh()}}
	crm.take()
	g.at("b.example", back).is(400).says(messageNoFlow.Title)
	crm.called(t, "")
	g.at("a.example", back).goesTo("https://a.example/connect/?at=crm&did=connected#account-crm")
	crm.called(t, `finish "" "c"`)
}

// TestInternationalized has a redirect_url whose host name browsers write in Punycode (RFC 5891
// §5).
func TestInternationalized(t *testing.T) {
	const punycode = "xn--bcher-kva.example"
	ds, other := &fake{name: "crm", base: idnBase}, &fake{name: "other"}
	g := newBed(t, ds, other)
	for name, test := range map[string]struct {
		host, origin string
		status       int
	}{
		"its own page":        {punycode, "https://" + punycode, 303},
		"behind a proxy":      {"10.0.0.1", "https://" + punycode, 303},
		"another host's page": {punycode, "https://xn--bcher-kvb.example", 403},
	} {
		t.Run(name, func(t *testing.T) {
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", host: test.host, header: http.Header{"Origin": {test.origin}}}).is(test.status)
		})
	}
	g.do(ask{user: "ann", path: "/connect/", host: punycode}).is(200).shows("name-crm").hides("name-other")
}
