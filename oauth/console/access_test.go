// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// TestNobody checks that without a user every route answers 403, and tells nothing.
func TestNobody(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	for _, path := range []string{
		"/connect/", "/connect/crm", "/connect/crm/connect", "/connect/crm/refresh", "/connect/crm/disconnect", "/connect/none/connect",
		"/connect/callback", "/connect/callback?state=s&code=c", "/connect/callback?error=access_denied&state=s", "/connect/a/b/c",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
			if method != "GET" && strings.HasPrefix(path, "/connect/callback") {
				continue // 405
			}
			a := g.do(ask{method: method, path: path}).is(403).says(messageNobody.Title)
			if strings.Contains(a.Body.String(), "crm") {
				t.Errorf("%s %s: %s", method, path, a.Body)
			}
		}
	}
	ds.called(t, "")
}

// TestUnresolvedUser checks that a request has no user if one of two placeholders is not known.
// The known part alone is no user.
func TestUnresolvedUser(t *testing.T) {
	g := newBed(t, &fake{name: "crm"})
	g.User = "{http.auth.user.id}@{test.account}"
	g.do(ask{user: "ann", path: "/connect/"}).is(403)
	g.do(ask{account: "x", path: "/connect/"}).is(403)
	g.operators["ann@x"] = true
	g.do(ask{user: "ann", account: "x", path: "/connect/"}).is(200)
	g.do(ask{user: "ann", account: "x", method: "POST", path: "/connect/crm/connect"}).is(303)
}

// TestWhoMay presses each button as an operator and as another user. A datasource that does not
// exist and one that the user may not see look the same.
func TestWhoMay(t *testing.T) {
	shared, mine, machine := &fake{name: "shared"}, &fake{name: "mine", perUser: true}, &fake{name: "machine", machine: true}
	g := newBed(t, shared, mine, machine)
	missing := g.do(ask{user: "bob", method: "POST", path: "/connect/none/connect"}).is(404).Body.String()
	for _, test := range []struct {
		user, account string
		to            string
		status        int
		ds            *fake
		call          string
	}{
		{"ann", "", "shared/connect", 303, shared, `begin "" "ann"`},
		{"ann", "", "shared/refresh", 303, shared, `renew ""`},
		{"ann", "", "shared/disconnect", 303, shared, `disconnect ""`},
		{"bob", "bob", "shared/connect", 403, shared, ""},
		{"bob", "bob", "shared/refresh", 403, shared, ""},
		{"bob", "bob", "shared/disconnect", 403, shared, ""},
		{"ANN", "", "shared/connect", 403, shared, ""},
		{"ann ", "", "shared/connect", 403, shared, ""},

		{"bob", "bob", "mine/connect", 303, mine, `begin "bob" "bob"`},
		{"bob", "bob", "mine/refresh", 303, mine, `renew "bob"`},
		{"bob", "bob", "mine/disconnect", 303, mine, `disconnect "bob"`},
		{"ann", "ann", "mine/disconnect", 303, mine, `disconnect "ann"`},
		{"bob", "", "mine/connect", 403, mine, ""},
		{"ann", "", "mine/disconnect", 403, mine, ""},

		{"ann", "", "machine/refresh", 303, machine, `renew ""`},
		{"ann", "", "machine/connect", 404, machine, ""},
		{"ann", "", "machine/disconnect", 404, machine, ""},
		{"bob", "bob", "machine/refresh", 404, machine, ""},
		{"ann", "", "none/connect", 404, shared, ""},
	} {
		t.Run(test.user+" "+test.to, func(t *testing.T) {
			a := g.do(ask{user: test.user, account: test.account, method: "POST", path: "/connect/" + test.to}).is(test.status)
			test.ds.called(t, test.call)
			if test.status == 404 && strings.ReplaceAll(a.Body.String(), "<strong>"+test.user+"<", "<strong>bob<") != missing {
				t.Errorf("it does not look like what is not there: %s", a.Body)
			}
		})
	}
}

// TestCrossOrigin presses buttons from other sites' pages.
func TestCrossOrigin(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	for name, test := range map[string]struct {
		header http.Header
		host   string
		status int
	}{
		"curl":                              {http.Header{}, "", 303},
		"our page":                          {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://gw.example"}}, "", 303},
		"our page, an old browser":          {http.Header{"Origin": {"https://gw.example"}}, "", 303},
		"the address bar":                   {http.Header{"Sec-Fetch-Site": {"none"}}, "", 303},
		"a proxy has changed the host":      {http.Header{"Origin": {"https://gw.example"}}, "10.0.0.1:8080", 303},
		"another site":                      {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, "", 403},
		"another site, an old browser":      {http.Header{"Origin": {"https://evil.example"}}, "", 403},
		"a sibling":                         {http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.gw.example"}}, "", 403},
		"no origin said":                    {http.Header{"Sec-Fetch-Site": {"cross-site"}}, "", 403},
		"null":                              {http.Header{"Origin": {"null"}}, "", 403},
		"null and cross-site":               {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}}, "", 403},
		"another port":                      {http.Header{"Origin": {"https://gw.example:8443"}}, "", 403},
		"plain http at the public address":  {http.Header{"Origin": {"http://gw.example"}}, "10.0.0.1:8080", 403},
		"two origins":                       {http.Header{"Origin": {"https://gw.example", "https://evil.example"}}, "", 403},
		"two sites":                         {http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, "", 403},
		"a host that the attacker has sent": {http.Header{"Origin": {"https://evil.example"}, "X-Forwarded-Host": {"evil.example"}}, "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, action := range []string{"connect", "refresh", "disconnect"} {
				a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/" + action, header: test.header, host: test.host}).is(test.status)
				calls := ds.take()
				if (calls != "") != (test.status == 303) {
					t.Errorf("asked to %q", calls)
				}
				if test.status == 403 {
					a.says(messageCrossOrigin.Title)
				}
			}
		})
	}
}

// TestElsewhere opens the console at an address to which the provider does not send browsers back:
// the cookie would be lost.
func TestElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		base, origin string
		status       int
	}{
		"public":             {"https://gw.example/connect/", "https://gw.example", 303},
		"in other letters":   {"https://GW.example/connect/", "https://gw.example", 303},
		"another name":       {"https://gw.example/connect/", "https://10.0.0.1", 409},
		"not https":          {"https://gw.example/connect/", "http://gw.example", 409},
		"another port":       {"http://localhost:8080/connect/", "http://localhost:9090", 303},
		"another name, http": {"http://localhost:8080/connect/", "http://127.0.0.1:8080", 409},
		"nothing said":       {"https://gw.example/connect/", "", 303},
	} {
		t.Run(name, func(t *testing.T) {
			ds := &fake{name: "crm", base: test.base}
			g := newBed(t, ds)
			header := http.Header{"Sec-Fetch-Site": {"same-origin"}}
			if test.origin != "" {
				header.Set("Origin", test.origin)
			}
			a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect", header: header}).is(test.status)
			if test.status == 409 {
				ds.called(t, "")
				if a.says("Open this page at its public address"); !strings.Contains(a.Body.String(), `href="`+test.base+`"`) {
					t.Errorf("there is no link: %s", a.Body)
				}
			}
			// The other buttons need no cookie.
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/disconnect", header: header}).is(303)
		})
	}
}

// TestUserThatClientsChoose checks that a log line warns of a user that a client makes up, for
// each placeholder that the option connection of oauth2 refuses.
func TestUserThatClientsChoose(t *testing.T) {
	for text, want := range map[string]string{
		"{http.auth.user.id}":                                    "",
		"{http.request.tls.client.subject}":                      "",
		"{http.request.remote.host}":                             "",
		"{http.request.header.X-User}":                           "{http.request.header.X-User}",
		"{http.request.uri.query.user}":                          "{http.request.uri.query.user}",
		"{http.request.cookie.user}":                             "{http.request.cookie.user}",
		"{http.request.tls.server_name}":                         "{http.request.tls.…}",
		"{http.request.local.host}":                              "{http.request.…}",
		"{http.regexp.1}":                                        "{http.…}",
		"{http.auth.user.id}/{http.request.cookie.user}":         "{http.request.cookie.user}",
		"{http.request.header.X-User}{http.request.cookie.user}": "{http.request.header.X-User}",
	} {
		core, logs := observer.New(zapcore.DebugLevel)
		h := &Handler{User: text, logger: zap.New(core)}
		h.warnOfUser()
		var got string
		for _, entry := range logs.All() {
			got += entry.ContextMap()["placeholder"].(string)
		}
		if got != want {
			t.Errorf("user %s: the warning is of %q, want %q", text, got, want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	if got := placeholders("{a}{}b{c}{d"); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("placeholders: %q", got)
	}
	for _, text := range []string{"plain", "{", "}{", "{}"} {
		if got := placeholders(text); len(got) > 0 {
			t.Errorf("placeholders(%q): %q", text, got)
		}
	}
}

// TestOrigin checks origins against what browsers send (RFC 6454 §6.1).
func TestOrigin(t *testing.T) {
	for from, want := range map[string]string{
		"https://GW.example:443/connect/": "https://gw.example",
		"http://gw.example:80/":           "http://gw.example",
		"https://gw.example:80/":          "https://gw.example:80",
		"https://BÜCHER.example:8443/":    "https://xn--bcher-kva.example:8443",
		"https://a_b.example/":            "https://a_b.example",
		"http://[::1]:8080/":              "http://[::1]:8080",
		"http://127.0.0.1/":               "http://127.0.0.1",
	} {
		public := console(&fake{base: from})
		if got := wire.Origin(public.Scheme, public.Host); got != want {
			t.Errorf("the origin of %s is %s, want %s", from, got, want)
		}
	}
}
