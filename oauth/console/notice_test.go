// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/url"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestNotice: the page says what was done a moment ago if the state bears it out, whatever the
// address says, and in no words of the address.
func TestNotice(t *testing.T) {
	stored, lost := true, false
	fresh := &connection.Status{State: connection.StateConnected, Valid: true, Stored: &stored, ConnectedAt: since(time.Second), RefreshedAt: since(time.Second)}
	old := &connection.Status{State: connection.StateConnected, Valid: true, ConnectedAt: since(time.Hour), RefreshedAt: since(3 * time.Minute)}
	none := &connection.Status{State: connection.StateNone, NeedsAction: true}
	unstored, failing := *fresh, *fresh
	unstored.Stored, failing.State = &lost, connection.StateFailing
	const connected, renewed, gone = "The account is connected. It serves", "The provider has issued a new token.", "The account is disconnected"
	for _, test := range []struct {
		status *connection.Status
		at     string
		did    string
		want   string
	}{
		{fresh, "crm", "connected", connected},
		{fresh, "crm", "refreshed", renewed},
		{none, "crm", "disconnected", gone},
		{fresh, "crm", "disconnected", ""},
		{old, "crm", "connected", ""},
		{old, "crm", "refreshed", ""},
		{none, "crm", "connected", ""},
		{none, "crm", "refreshed", ""},
		{&unstored, "crm", "connected", ""},
		{&failing, "crm", "refreshed", ""},
		{fresh, "other", "connected", ""},
		{fresh, "", "connected", ""},
		{fresh, "crm", "", ""},
		{fresh, "crm", "<script>alert(1)</script>", ""},
		{fresh, `crm"><script>`, "connected", ""},
	} {
		g := newBed(t, &fake{name: "crm", status: test.status}, &fake{name: "another", status: old}, &fake{name: "third"}, &fake{name: "fourth"})
		query := url.Values{"at": {test.at}, "did": {test.did}}
		a := g.do(ask{user: "ann", path: "/connect/?" + query.Encode()}).is(200).hides("script")
		for _, said := range []string{connected, renewed, gone} {
			if said == test.want {
				a.shows(said)
			} else {
				a.hides(said)
			}
		}
		if test.at == "crm" && test.status != none {
			a.shows(`id="account-crm" open>`).hides(`id="account-another" open`)
		}
	}
}
