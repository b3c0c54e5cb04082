// SPDX-License-Identifier: Apache-2.0

package console

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestFailedConnect: an attempt to connect an account that has failed stays on the card, for a
// day, with what an operator can do; a provider's own words are for operators alone.
func TestFailedConnect(t *testing.T) {
	const said, todo = "AADSTS7000215 <b>", "What to do: replace client_secret."
	for name, test := range map[string]struct {
		failed     connection.FailedConnect
		both, oper []string
		not        []string
	}{
		"the client": {
			connection.FailedConnect{At: *since(90 * time.Second), Error: "invalid_client", Description: said, Remedy: "replace client_secret"},
			[]string{"1 minute ago", "does not accept the gateway&#39;s client id and secret.", "<code>invalid_client</code>"},
			[]string{"AADSTS7000215 &lt;b&gt;", todo},
			nil,
		},
		"the code": {
			connection.FailedConnect{At: *since(time.Minute), Error: "invalid_grant"},
			[]string{"does not accept the code that it has sent with you"},
			nil,
			[]string{"What to do"},
		},
		"a provider that is down": {
			connection.FailedConnect{At: *since(time.Minute), Error: "no_answer", Remedy: "the provider fails; it is asked again"},
			[]string{"could not be reached"},
			nil,
			[]string{"asked again"},
		},
		"declined": {
			connection.FailedConnect{At: *since(time.Minute), Error: "access_denied", Denied: true},
			[]string{"You declined. The provider says that access was declined", "<code>access_denied</code>"},
			nil, nil,
		},
		"a scope": {
			connection.FailedConnect{At: *since(time.Minute), Error: "invalid_scope", Denied: true},
			[]string{"The operator of the gateway can mend scopes."},
			nil, nil,
		},
		"another reason": {
			connection.FailedConnect{At: *since(time.Minute), Error: codeOther, Denied: true},
			[]string{"a reason that this gateway does not know"},
			nil,
			[]string{"<code>other</code>"},
		},
		"long ago": {connection.FailedConnect{At: *since(25 * time.Hour), Error: "invalid_client"}, nil, nil, []string{"last attempt"}},
	} {
		ds := &fake{name: "crm", perUser: true, status: &connection.Status{State: connection.StateNone, FailedConnect: &test.failed}}
		for user, operator := range map[string]bool{"ann": true, "bob": false} {
			a := newBed(t, ds).do(ask{user: user, account: user, path: "/connect/"}).is(200).shows(test.both...).hides(test.not...).hides("<b>")
			if operator {
				a.shows(test.oper...)
			} else {
				a.hides("What to do", "AADSTS")
			}
		}
		// The shared one, for somebody who may only look.
		ds.perUser = false
		newBed(t, ds).do(ask{user: "bob", path: "/connect/"}).is(200).hides("last attempt", "AADSTS")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestRefusedByTheAPI: operators, and they alone, see how the API has last refused the credential.
func TestRefusedByTheAPI(t *testing.T) {
	ds := &fake{name: "crm", perUser: true, status: &connection.Status{
		State: connection.StateConnected, Valid: true, LastRefusal: &connection.Refusal{At: *since(5 * time.Minute), Status: 403, Remedy: "add it to <refresh_on>"},
	}}
	const title, said = "Refused by the API", "With status 403"
	newBed(t, ds).do(ask{user: "ann", account: "a", path: "/connect/"}).is(200).shows(title, said, "5 minutes ago", "What to do: add it to &lt;refresh_on&gt;.")
	newBed(t, ds).do(ask{user: "bob", account: "b", path: "/connect/"}).is(200).hides(title, said)

	// Among many, the closed row says it too, until the API has taken the credential again.
	const last = "The API has refused the last call, with status 403."
	ds.status.LastRefusal.Standing = true
	many := []*fake{ds, {name: "b", perUser: true}, {name: "c", perUser: true}, {name: "d", perUser: true}}
	newBed(t, many...).do(ask{user: "ann", account: "a", path: "/connect/"}).is(200).shows(last)
	newBed(t, many...).do(ask{user: "bob", account: "b", path: "/connect/"}).is(200).hides(last)
	ds.status.LastRefusal.Standing = false
	newBed(t, many...).do(ask{user: "ann", account: "a", path: "/connect/"}).is(200).hides(last)

	// What all callers share needs attention then, with a token that is good.
	ds.perUser, ds.status.LastRefusal.Standing = false, true
	page := newBed(t, ds).do(ask{user: "ann", path: "/connect/"}).is(200).shows(last, "Connected, refused by the API", `<h2 id="group-attention">`)
	page.hides("All is well", "summary is-good", "Callers are refused")
	ds.status.LastRefusal.Standing = false
	newBed(t, ds).do(ask{user: "ann", path: "/connect/"}).is(200).shows("All is well").hides(last)
}
