// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestDiscovered: whoever may act sees on the card what was found out of the provider, in the
// words of the command line, escaped and no longer than can be read. Others see nothing of it.
func TestDiscovered(t *testing.T) {
	found := &connection.Discovered{
		Issuer: "https://login.example/<script>", AuthorizationURL: "https://login.example/a", TokenURL: "https://login.example/t",
		RevocationURL: "https://login.example/r", Registration: connection.RegisteredByDocument, Because: "the provider takes it",
		ClientID: "https://gw.example/connect/client.json", ClientAuth: "private_key_jwt", Scopes: []string{"read", strings.Repeat("é", 1000)},
		Resource: []string{"https://api.example/mcp"}, PAR: true, DPoP: true, WrittenOut: []string{"scopes", "token_url"},
	}
	ds := &fake{
		name: "crm", facts: &oauth.Facts{API: "api.example"},
		status: &connection.Status{State: connection.StateConnected, Valid: true, Discovered: found},
	}
	g := newBed(t, ds)
	a := g.do(ask{user: "ann", path: "/connect/"}).is(200).hides("<script").shows(
		"<summary>What was discovered</summary>",
		"<dt>Issuer</dt><dd>https://login.example/&lt;script&gt;</dd>",
		"<dt>Authorization endpoint</dt><dd>https://login.example/a</dd>",
		"<dt>Token endpoint</dt><dd>https://login.example/t</dd>",
		"<dt>Revocation endpoint</dt><dd>https://login.example/r</dd>",
		"<dt>Client</dt><dd>described by a metadata document, https://gw.example/connect/client.json, since the provider takes it</dd>",
		"<dt>Client authentication</dt><dd>private_key_jwt</dd>",
		"<dt>Scopes asked for</dt><dd>read é", "é…</dd>",
		"<dt>Resource</dt><dd>https://api.example/mcp</dd>",
		"pushed to the provider (PAR, RFC 9126)", "bound to a key (DPoP, RFC 9449)",
		"<dt>Written out</dt><dd>scopes, token_url</dd>",
		"<dt>Provider</dt><dd>login.example</dd>",
	)
	if n := strings.Count(a.Body.String(), "é"); n > 400 {
		t.Errorf("%d characters of a scope are shown", n)
	}
	g.do(ask{user: "bob", path: "/connect/"}).is(200).hides("What was discovered", "login.example")
	found.Issuer, found.Registration = "", ""
	*found = connection.Discovered{WrittenOut: []string{"token_url"}}
	g.do(ask{user: "ann", path: "/connect/"}).is(200).hides("What was discovered")
}

// TestDiscoveryFailed: a discovery that has failed is on the card once, with its remedy for
// operators, as the gateway's own words.
func TestDiscoveryFailed(t *testing.T) {
	const says, todo = "discovery at https://api.example/mcp: metadata was expected", "write discover <issuer>"
	ds := &fake{name: "crm", perUser: true, status: &connection.Status{
		State: connection.StateNone, LastError: connection.DiscoveryFailed, LastDescription: says, Remedy: todo,
		FailedConnect: &connection.FailedConnect{At: *since(0), Error: connection.DiscoveryFailed, Description: says, Remedy: todo},
	}}
	g := newBed(t, ds)
	a := g.do(ask{user: "ann", account: "a", path: "/connect/"}).is(200).shows(
		"Who the provider is could not be found out.", "More exactly: "+says, "What to do: write discover &lt;issuer&gt;.").hides("The provider says", "last attempt")
	if n := strings.Count(a.Body.String(), says); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	g.do(ask{user: "bob", account: "b", path: "/connect/"}).is(200).shows("Who the provider is could not be found out.").hides(says, "write discover")
	ds.status.LastError, ds.status.LastDescription = "", ""
	g.do(ask{user: "ann", account: "a", path: "/connect/"}).is(200).shows("The last attempt to connect an account has failed", "More exactly: "+says)
}
