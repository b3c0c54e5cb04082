// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestConfirm: the page asks before an account is disconnected, says what follows, and does
// nothing by itself.
func TestConfirm(t *testing.T) {
	ds := &fake{name: "crm", status: &connection.Status{
		State: connection.StateConnected, Valid: true, ConnectedAt: since(2 * time.Hour), ConnectedBy: "<zoe>",
	}}
	g := newBed(t, ds)
	get := ask{user: "ann", path: "/connect/crm/disconnect"}
	g.do(ask{user: "ann", path: "/connect/"}).shows(`<form action="crm/disconnect">`).hides(`<form method="post" action="crm/disconnect"`)
	ds.take()
	g.do(get).is(200).says("Disconnect crm?").
		shows("2 hours ago by &lt;zoe&gt;", "Callers are refused from then on", "provider.example is not told", "revocation_url",
			`<form method="post" action="disconnect">`, `href="../?at=crm#account-crm"`)
	ds.called(t, `status ""`)
	ds.facts = &oauth.Facts{Provider: "login.example", Revokes: true}
	g.do(get).is(200).shows("tells login.example to revoke them").hides("revocation_url")
	// A link on another site may lead here: the page is what asks.
	get.header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	g.do(get).is(200).says("Disconnect crm?")
	ds.take()
	post := get
	post.method = http.MethodPost
	g.do(post).is(403).says(messageCrossOrigin.Title)
	ds.called(t, "")
	post.header = nil
	g.do(post).goesTo("../?at=crm&did=disconnected#account-crm")
	ds.called(t, `disconnect ""`)

	get.header, get.user = nil, "bob"
	g.do(get).is(403).says(messageOperatorsOnly.Title)
	get.user = ""
	g.do(get).is(403).says(messageNobody.Title)
	own := &fake{name: "mine", perUser: true, status: ds.status}
	newBed(t, own).do(ask{user: "bob", account: "bob", path: "/connect/mine/disconnect"}).is(200).shows("Your calls are refused")
	own.called(t, `status "bob"`)
}
