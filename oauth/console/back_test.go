// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestBack: who comes from a page of this origin finds the way back there, before and after the
// account is connected. Nobody else's page can choose where it leads.
func TestBack(t *testing.T) {
	const here = "https://gw.example"
	for referer, want := range map[string]string{
		here + "/orders/x?page=2&q=%22":       "/orders/x?page=2&q=%22",
		here + "/":                            "/",
		here + "/connect/":                    "",
		here + "/connect":                     "",
		here + "/connect/crm/disconnect":      "",
		here + "//evil.example":               "",
		here + `/\evil.example`:               "",
		"https://evil.example/orders/x":       "",
		"https://gw.example.evil.example/":    "",
		"https://evil.example@gw.example:1/x": "",
		"javascript:alert(1)":                 "",
		"":                                    "",
		"%":                                   "",
	} {
		ds := &fake{name: "crm", status: &connection.Status{State: connection.StateNone}}
		g := newBed(t, ds)
		page := ask{user: "ann", path: "/connect/", header: http.Header{"Referer": {referer}}}
		shown := attribute(want)
		if a := g.do(page).is(200); want == "" {
			a.hides("Back to", `name="back"`, "evil")
		} else {
			a.shows(`<p class="back"><a href="`+shown+`">Back to `, `name="back" value="`+shown+`"`)
			page.header.Set("Sec-Fetch-Site", "same-site")
			g.do(page).is(200).hides("Back to")
		}

		// The form brings it to the flow, and the flow's cookie back to the page.
		a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", body: url.Values{"back": {want}}.Encode()}).is(303)
		cookie := a.fresh()
		done := g.do(ask{user: "ann", path: back(a.state(), "code", "c"), cookies: []*http.Cookie{cookie}}).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm")
		ds.status = &connection.Status{State: connection.StateConnected, Valid: true, ConnectedAt: since(time.Second)}
		after := ask{user: "ann", path: "/connect/?at=crm&did=connected", cookies: []*http.Cookie{done.fresh()}}
		if want == "" {
			g.do(after).is(200).hides("Back to")
			continue
		}
		g.do(after).is(200).shows(`It serves calls from now on. <a href="` + shown + `">Back to `)
		after.user = "bob"
		g.do(after).is(200).hides("Back to")
	}
}

// attribute returns a path as a page has it.
func attribute(path string) string {
	if path == "/orders/x?page=2&q=%22" {
		return "/orders/x?page=2&amp;q=%22"
	}
	return path
}

// TestWayBack: a form can bring anything.
func TestWayBack(t *testing.T) {
	for _, text := range []string{
		"//evil.example", "///evil.example", "//", `/\evil.example`, `\\evil.example`, "https://evil.example", "javascript:alert(1)", "evil.example", "/\t/evil.example",
		"/\n/evil.example", " /x", "/x\x00", "/é", "/" + string(make([]byte, 600)), "/%zz",
	} {
		if got := wayBack(text); got != "" {
			t.Errorf("%q leads to %q", text, got)
		}
		g := newBed(t, &fake{name: "crm"})
		a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", body: url.Values{"back": {text}}.Encode()})
		if a.Code != 303 {
			t.Fatalf("%q: %d", text, a.Code)
		}
		cookie := a.fresh()
		id, _, _ := flowOfCookie(cookie.Name)
		if flow, err := oauth.OpenFlow(g.keys, id, cookie.Value); err != nil || flow.Return != "" {
			t.Errorf("%q: %+v, %v", text, flow, err)
		}
	}
}
