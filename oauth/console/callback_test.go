// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// TestCallback has, for each attack on the callback, a twin without the attack that succeeds.
func TestCallback(t *testing.T) {
	const console = "https://gw.example/connect/"
	tests := map[string]struct {
		ds     *fake  // default: a shared connection
		user   string // who connects; default ann
		attack func(g *bed, a *ask, state string, cookie *http.Cookie)
		status int
		title  string
	}{
		"no cookie: another browser, or an attacker's code in the victim's": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.cookies = nil },
			status: 400, title: messageNoFlow.Title,
		},
		"the cookie of another flow": {
			attack: func(g *bed, a *ask, _ string, _ *http.Cookie) {
				_, other := g.connect("ann", "", "crm")
				a.cookies = []*http.Cookie{other}
			},
			status: 400, title: messageNoFlow.Title,
		},
		"the cookie of another flow under the name of this one": {
			attack: func(g *bed, a *ask, _ string, cookie *http.Cookie) {
				_, other := g.connect("ann", "", "crm")
				a.cookies = []*http.Cookie{{Name: cookie.Name, Value: other.Value}}
			},
			status: 400, title: messageNoFlow.Title,
		},
		"another state": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state+"x", "code", "c") },
			status: 400, title: messageNoFlow.Title,
		},
		"no state": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.path = "/connect/callback?code=c" },
			status: 400, title: messageNoState.Title,
		},
		"a state twice": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) {
				a.path = back(state, "code", "c", "state", "other")
			},
			status: 400, title: messageUnclear.Title,
		},
		"a code twice": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state, "code", "c", "code", "d") },
			status: 400, title: messageUnclear.Title,
		},
		"an issuer twice": {
			ds: &fake{issuer: "https://provider.example"},
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) {
				a.path = back(state, "code", "c", "iss", "https://provider.example", "iss", "https://evil.example")
			},
			status: 400, title: messageUnclear.Title,
		},
		"an error twice": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) {
				a.path = back(state, "error", "", "error", "x", "code", "c")
			},
			status: 400, title: messageUnclear.Title,
		},
		"a state that is badly encoded, and another one": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.path += "&state=%zz" },
			status: 400, title: messageUnclear.Title,
		},
		"a code that is badly encoded": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state) + "&code=100%" },
			status: 400, title: messageUnclear.Title,
		},
		"a code with what may be another pair": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state) + "&code=c;code=d" },
			status: 400, title: messageUnclear.Title,
		},
		"an error that is badly encoded, and a code": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.path += "&error=%" },
			status: 400, title: messageUnclear.Title,
		},
		"an issuer that is badly encoded": {
			ds:     &fake{issuer: "https://provider.example"},
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.path += "&iss=%%" },
			status: 400, title: messageUnclear.Title,
		},
		"no code": {
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state) },
			status: 400, title: messageNoCode.Title,
		},
		"a cookie that plain http can set": {
			attack: func(_ *bed, a *ask, _ string, cookie *http.Cookie) {
				a.cookies = []*http.Cookie{{Name: strings.TrimPrefix(cookie.Name, "__Host-"), Value: cookie.Value}}
			},
			status: 400, title: messageNoFlow.Title,
		},
		"a cookie with one character changed": {
			attack: func(_ *bed, a *ask, _ string, cookie *http.Cookie) {
				changed := []byte(cookie.Value)
				changed[len(changed)/2] ^= 1
				a.cookies = []*http.Cookie{{Name: cookie.Name, Value: string(changed)}}
			},
			status: 400, title: messageNoFlow.Title,
		},
		"a cookie that another key has sealed": {
			attack: func(g *bed, _ *ask, _ string, _ *http.Cookie) {
				key, err := seal.ParseKey(seal.NewKey())
				if err != nil {
					g.t.Fatal(err)
				}
				g.keys = seal.NewRing(key)
			},
			status: 400, title: messageNoFlow.Title,
		},
		"nobody is signed in any more": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.user = "" },
			status: 403, title: messageNobody.Title,
		},
		"nobody is signed in, and there is no cookie": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.user, a.cookies = "", nil },
			status: 403, title: messageNobody.Title,
		},
		"another user, an operator too": {
			attack: func(g *bed, a *ask, _ string, _ *http.Cookie) { g.operators["eve"], a.user = true, "eve" },
			status: 400, title: messageOtherUser.Title,
		},
		"a user of the same name in other letters": {
			attack: func(g *bed, a *ask, _ string, _ *http.Cookie) { g.operators["Ann"], a.user = true, "Ann" },
			status: 400, title: messageOtherUser.Title,
		},
		"no operator any more": {
			attack: func(g *bed, _ *ask, _ string, _ *http.Cookie) { delete(g.operators, "ann") },
			status: 403, title: messageNoOperator.Title,
		},
		"another account of the same user": {
			ds:     &fake{perUser: true},
			user:   "bob",
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.account = "another" },
			status: 400, title: messageOtherUser.Title,
		},
		"no account any more": {
			ds:     &fake{perUser: true},
			user:   "bob",
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.account = "" },
			status: 400, title: messageOtherUser.Title,
		},
		"another issuer": {
			ds: &fake{issuer: "https://provider.example"},
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) {
				a.path = back(state, "code", "c", "iss", "https://evil.example")
			},
			status: 400, title: messageIssuer.Title,
		},
		"no issuer": {
			ds:     &fake{issuer: "https://provider.example"},
			attack: func(_ *bed, a *ask, state string, _ *http.Cookie) { a.path = back(state, "code", "c") },
			status: 400, title: messageIssuer.Title,
		},
		"HEAD": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.method = "HEAD" },
			status: 405,
		},
		"POST": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.method = "POST" },
			status: 405, title: messageForm.Title,
		},
		"early data of this server": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.tls = &tls.ConnectionState{HandshakeComplete: false} },
			status: 425, title: messageEarly.Title,
		},
		"early data of a proxy in front": {
			attack: func(_ *bed, a *ask, _ string, _ *http.Cookie) { a.header = http.Header{"Early-Data": {"1"}} },
			status: 425, title: messageEarly.Title,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := test.ds
			if ds == nil {
				ds = new(fake)
			}
			ds.name = "crm"
			g := newBed(t, ds)
			user := "ann"
			if test.user != "" {
				user = test.user
			}
			state, cookie := g.connect(user, "account", "crm")
			good := ask{user: user, account: "account", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}, tls: &tls.ConnectionState{HandshakeComplete: true}}
			if ds.issuer != "" {
				good.path = back(state, "code", "c", "iss", ds.issuer)
			}
			bad := good
			ring, operators := g.keys, map[string]bool{"ann": true}
			test.attack(g, &bad, state, cookie)
			ds.take()
			a := g.do(bad).is(test.status).says(test.title)
			ds.called(t, "")
			if !a.skipped {
				t.Error("the callback is in the access log")
			}
			if a.Header().Get("Referrer-Policy") == "" || a.Header().Get("Location") != "" || len(a.Result().Cookies()) > 0 {
				t.Errorf("header: %v", a.Header())
			}

			g.keys, g.operators = ring, operators
			a = g.do(good).goesTo(card(console, ds, didConnect))
			want := `finish "" "c"`
			if ds.perUser {
				want = `finish "account" "c"`
			}
			ds.called(t, want)
			if got := a.Header().Get("Referrer-Policy"); got != "no-referrer" {
				t.Errorf("Referrer-Policy: %q", got)
			}
			if !a.skipped {
				t.Error("the callback is in the access log")
			}
		})
	}
}

// TestLate ends a flow after its ten minutes: the answer is 400, and the provider is not asked.
func TestLate(t *testing.T) {
	for _, test := range []struct {
		age    time.Duration
		status int
	}{{11 * time.Minute, 400}, {9 * time.Minute, 303}, {-11 * time.Minute, 400}} {
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		flow := &oauth.Flow{State: "s", Datasource: "crm", User: "ann", Began: time.Now().Add(-test.age)}
		late := ask{user: "ann", path: back("s", "code", "c"), cookies: []*http.Cookie{sealed(t, g, flow)}}
		a := g.do(late).is(test.status)
		if test.status == 400 {
			a.says(messageLate.Title)
			late.cookies = nil // a browser has forgotten it by then
			g.do(late).is(400).says("This did not begin in this browser, or too long ago").shows("ten minutes")
			ds.called(t, "")
			continue
		}
		if life := a.fresh().MaxAge; life < 55 || life > 60 {
			t.Errorf("the cookie lives for %d s more, want a minute", life)
		}
	}
}

// TestForeignFlow ends flows whose datasource is gone, has another grant now, or has another
// callback.
func TestForeignFlow(t *testing.T) {
	for name, test := range map[string]struct {
		flow   oauth.Flow
		status int
	}{
		"good":                            {oauth.Flow{Datasource: "crm"}, 303},
		"gone":                            {oauth.Flow{Datasource: "gone"}, 400},
		"of another callback":             {oauth.Flow{Datasource: "other"}, 400},
		"shared no more":                  {oauth.Flow{Datasource: "mine"}, 400},
		"shared now":                      {oauth.Flow{Datasource: "crm", Connection: "ann"}, 400},
		"shared now, of a ticket":         {oauth.Flow{Datasource: "crm", Connection: "ann", Ticket: true}, 400},
		"of client_credentials":           {oauth.Flow{Datasource: "machine"}, 400},
		"without a user, and no ticket's": {oauth.Flow{Datasource: "crm", User: "-"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			crm, other := &fake{name: "crm"}, &fake{name: "other", base: "https://gw.example/elsewhere/"}
			mine, machine := &fake{name: "mine", perUser: true}, &fake{name: "machine", machine: true}
			g := newBed(t, crm, other, mine, machine)
			test.flow.State, test.flow.Began = "s", time.Now()
			switch {
			case test.flow.User == "-":
				test.flow.User = ""
			case !test.flow.Ticket:
				test.flow.User = "ann"
			}
			g.do(ask{user: "ann", account: "ann", path: back("s", "code", "c"), cookies: []*http.Cookie{sealed(t, g, &test.flow)}}).is(test.status)
			for _, ds := range []*fake{crm, other, mine, machine} {
				if calls := ds.take(); (calls != "") != (test.status == 303 && ds == crm) {
					t.Errorf("%s was asked to %s", ds.name, calls)
				}
			}
		})
	}
}

// TestRedirectTarget sends callbacks that name a place to be sent on to. The only place is the one
// in the configuration.
func TestRedirectTarget(t *testing.T) {
	for _, target := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "/\tevil.example", "%2f%2fevil.example", "javascript:alert(1)",
		"https:evil.example", "https://gw.example@evil.example/", ".evil.example",
	} {
		ds := &fake{name: "crm"}
		g := newBed(t, ds)
		state, cookie := g.connect("ann", "", "crm")
		var more []string
		for _, name := range []string{"return_to", "redirect", "redirect_uri", "next", "rd", "url", "continue"} {
			more = append(more, name, target)
		}
		a := g.do(ask{
			user: "ann", path: back(state, append(more, "code", "c")...), cookies: []*http.Cookie{cookie}, host: "evil.example",
			header: http.Header{
				"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=evil.example"},
				"Referer": {"https://evil.example/"}, "X-Original-Url": {"https://evil.example/"},
			},
		}).goesTo("https://gw.example/connect/?at=crm&did=connected#account-crm")
		if strings.Contains(a.Body.String(), "evil") {
			t.Error(a.Body)
		}
	}
}

// TestPlainHTTP runs a flow on plain http, as developers do: the cookie is neither Secure nor
// __Host-.
func TestPlainHTTP(t *testing.T) {
	ds, safe := &fake{name: "crm", base: "http://gw.example:8080/connect/"}, &fake{name: "safe"}
	g := newBed(t, ds, safe)
	state, cookie := g.connect("ann", "", "crm")
	if cookie.Secure || strings.HasPrefix(cookie.Name, "__Host-") || !cookie.HttpOnly {
		t.Errorf("the cookie is %s", cookie)
	}
	a := ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{{Name: "__Host-" + cookie.Name, Value: cookie.Value}}}
	g.do(a).is(400)
	a.cookies = []*http.Cookie{cookie}
	g.do(a).goesTo("http://gw.example:8080/connect/?at=crm&did=connected#account-crm")

	// The other datasource has the same path on https.
	state, cookie = g.connect("ann", "", "safe")
	a.path, a.cookies = back(state, "code", "c"), []*http.Cookie{{Name: strings.TrimPrefix(cookie.Name, "__Host-"), Value: cookie.Value}}
	g.do(a).is(400)
	a.cookies = []*http.Cookie{cookie}
	g.do(a).goesTo("https://gw.example/connect/?at=safe&did=connected#account-safe")
}

// TestCallbackPath checks that the callback is recognized by its whole path: as the client has
// sent it, as rewrites have made it, or as a proxy in front has left it.
func TestCallbackPath(t *testing.T) {
	ds := &fake{name: "crm", base: "https://gw.example/other/mount/"}
	g := newBed(t, ds)
	g.leads = func(string) bool { return true }
	state, cookie := g.connect("ann", "", "crm")
	query := "?" + url.Values{"state": {state}, "code": {"c"}}.Encode()
	for path, status := range map[string]int{
		"/connect/callback" + query: 404, "/her/mount/callback" + query: 404, "/ount/callback" + query: 404,
		"/other/mount/callback/" + query: 404,
		"/other/mount/callback" + query:  303, "/mount/callback" + query: 303, "/callback" + query: 303,
		"/connect/other/mount/callback" + query: 303, // behind a handle_path
	} {
		ds.take()
		a := g.do(ask{user: "ann", path: path, cookies: []*http.Cookie{cookie}}).is(status)
		if calls := ds.take(); (calls != "") != (status == 303) {
			t.Errorf("%s: asked to %q", path, calls)
		}
		if !a.skipped && !strings.Contains(path, "callback/") {
			t.Errorf("%s is in the access log", path)
		}
	}
}

// TestCallbackOfAnother checks that the whole path of one provider's callback does not pass for
// the end of another provider's path.
func TestCallbackOfAnother(t *testing.T) {
	long, short := &fake{name: "long", base: "https://gw.example/gw/connect/"}, &fake{name: "short", base: "https://gw.example/connect/"}
	for path, want := range map[string]*fake{"/gw/connect/callback": long, "/connect/callback": short} {
		for _, ds := range []*fake{long, short} {
			g := newBed(t, long, short)
			flow := &oauth.Flow{State: "s", Datasource: ds.name, User: "ann", Began: time.Now()}
			status := 400
			if ds == want {
				status = 303
			}
			a := ask{user: "ann", path: path + "?state=s&code=c", whole: true, cookies: []*http.Cookie{sealed(t, g, flow)}}
			g.do(a).is(status)
		}
	}
}
