// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestUnneededParameters checks that parameters which are not needed are skipped, however they are
// encoded.
func TestUnneededParameters(t *testing.T) {
	for _, more := range []string{
		"&scope=a;b", "&session_info=100%", "&session%zz=1", "&a=%zz", "&;", "&%", "&=", "&&", "&scope=a&scope=b", "&x=%C3%28", "&;state=other",
		"&state;=other", "&error_description=%&error_description=;", "&authuser=0&prompt=consent&hd=a;b", "&error=",
	} {
		for _, behind := range []bool{true, false} {
			ds := &fake{name: "crm"}
			g := newBed(t, ds)
			state, cookie := g.connect("ann", "", "crm")
			query := "state=" + url.QueryEscape(state) + "&code=c"
			if behind {
				query += more
			} else {
				query = more[1:] + "&" + query
			}
			ds.take()
			g.do(ask{user: "ann", path: "/connect/callback?" + query, cookies: []*http.Cookie{cookie}}).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm")
			ds.called(t, `finish "" "c"`)
		}
	}
}

// TestWhatHappened checks that the page and the log say why a browser comes back without a code,
// even if something else is wrong too.
func TestWhatHappened(t *testing.T) {
	const provider, gateway = "the provider did not connect an account", "a callback did not connect an account"
	for query, test := range map[string]struct{ title, text, log, err string }{
		"state=STATE&error=access_denied&error_description=not+allowed;+ask": {"You declined", "declined", provider, "access_denied"},
		"state=STATE&error=access_denied&error_description=100%":             {"You declined", "declined", provider, "access_denied"},
		"error=access_denied":               {"You declined", "it has no state", provider, "access_denied"},
		"error=access_denied&state=":        {"You declined", "it has no state", provider, "access_denied"},
		"error=temporarily_unavailable&x=%": {"The provider is busy", "it has no state", provider, "temporarily_unavailable"},
		"error=new_words":                   {"The provider did not connect the account", "it has no state", provider, "new_words"},
		"error=access_denied&state=unknown": {messageNoFlow.Title, "ten minutes", provider, "access_denied"},
		"code=c":                            {messageNoState.Title, "(state)", gateway, ""},
		"":                                  {messageNoState.Title, "(state)", gateway, ""},
		"code=c&state=unknown":              {messageNoFlow.Title, "ten minutes", gateway, ""},
		"code=%&state=STATE":                {messageUnclear.Title, "badly encoded", gateway, ""},
		"code=c&code=c&state=STATE":         {messageUnclear.Title, "there twice", gateway, ""},
		"state=STATE":                       {messageNoCode.Title, "neither", gateway, ""},
		"state=STATE&error=access_denied&error=server_error&x": {messageUnclear.Title, "there twice", provider, "access_denied"},
	} {
		t.Run(query, func(t *testing.T) {
			g := newBed(t, &fake{name: "crm"})
			state, cookie := g.connect("ann", "", "crm")
			path := "/connect/callback?" + strings.ReplaceAll(query, "STATE", url.QueryEscape(state))
			g.do(ask{user: "ann", path: path, cookies: []*http.Cookie{cookie}}).is(400).says(test.title).shows(test.text)
			lines := g.logs.FilterMessage(test.log).All()
			if len(lines) != 1 {
				t.Fatalf("%d lines say %q", len(lines), test.log)
			}
			fields := lines[0].ContextMap()
			if fields["reason"] != test.title || test.err != "" && fields["error"] != test.err {
				t.Errorf("the log has %v", fields)
			}
			g.silent(state)
			// A request without a user writes nothing to the log.
			g = newBed(t, &fake{name: "crm"})
			g.do(ask{path: path}).is(403)
			if n := g.logs.FilterMessage(test.log).Len(); n != 0 {
				t.Errorf("%d lines for nobody", n)
			}
		})
	}
}
