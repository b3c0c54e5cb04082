// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// wantNothing fails the test if an answer begins a flow.
func (v *visited) wantNothing() {
	v.t.Helper()
	if v.header.Get("Location") != "" || len(v.header["Set-Cookie"]) > 0 {
		v.t.Errorf("%s is answered with %v", v.url, v.header)
	}
}

// TestStart: who may begin a flow, and from where. Each refusal has a twin that succeeds.
func TestStart(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	g.loadAnyHost(t, b)
	for _, test := range []struct {
		name, user, method, path, body string
		fields                         []string
		status                         int
	}{
		{name: "operator", user: "ann", path: "/connect/shared/connect", status: 303},
		{name: "no operator", user: "bob", path: "/connect/shared/connect", status: 403},
		{name: "a user for the own account", user: "bob", path: "/connect/own/connect", status: 303},
		{name: "nobody", path: "/connect/own/connect", status: 401},
		{name: "nobody, without authentication", path: "/open/own/connect", status: 403},
		{name: "nobody, for the shared one", path: "/open/shared/connect", status: 403},
		{name: "a name without authentication", user: "ann", path: "/open/shared/connect", status: 403},
		{name: "no such datasource", user: "ann", path: "/connect/other/connect", status: 404},
		{name: "no such action", user: "ann", path: "/connect/shared/delete", status: 404},
		{name: "GET", user: "ann", method: "GET", path: "/connect/shared/connect", status: 405},
		{name: "HEAD", user: "ann", method: "HEAD", path: "/connect/shared/connect", status: 405},
		{name: "PUT", user: "ann", method: "PUT", path: "/connect/shared/connect", status: 405},
		{name: "OPTIONS", user: "ann", method: "OPTIONS", path: "/connect/shared/connect", status: 405},
		{name: "cross-site", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, status: 403},
		{name: "cross-site, without an origin", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "cross-site", "Origin", ""}, status: 403},
		{name: "same site", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "same-site", "Origin", "http://x.example"}, status: 403},
		{name: "another origin", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "", "Origin", "http://evil.example"}, status: 403},
		{name: "another port", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "", "Origin", "http://127.0.0.1:1"}, status: 403},
		{name: "null", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "", "Origin", "null"}, status: 403},
		{name: "cross-site and null", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, status: 403},
		{name: "our origin alone", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", ""}, status: 303},
		{name: "neither", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "", "Origin", ""}, status: 303},
		{name: "a user's own click", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "none", "Origin", ""}, status: 303},
		{name: "a name of the attacker", user: "ann", path: "/connect/shared/connect", fields: []string{"Sec-Fetch-Site", "", "Origin", "http://evil.example", "Host", "evil.example"}, status: 409},
		{name: "early data", user: "ann", path: "/connect/shared/connect", fields: []string{"Early-Data", "1"}, status: 425},
		{name: "no early data", user: "ann", path: "/connect/shared/connect", fields: []string{"Early-Data", "0"}, status: 303},
		{name: "early page", user: "ann", method: "GET", path: "/connect/", fields: []string{"Early-Data", "1"}, status: 425},
		{name: "page", user: "ann", method: "GET", path: "/connect/", status: 200},
		{name: "a form that is too large", user: "ann", path: "/connect/shared/connect", body: "a=" + strings.Repeat("x", 10_000), status: 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			br := b.browser(test.user)
			br.t = t
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			v := br.send(method, test.path, test.body, test.fields...)
			if v.status != test.status {
				t.Fatalf("%s is answered with %d, want %d: %s", test.path, v.status, test.status, v.title())
			}
			if test.status != 303 {
				v.wantNothing()
				return
			}
			if got := v.header.Get("Location"); !strings.HasPrefix(got, p.AuthorizationURL()+"?") || len(v.header["Set-Cookie"]) != 1 {
				t.Errorf("the answer has %v", v.header)
			}
		})
	}
	p.WantRequests(t, 0)
}

// TestOthersConnection: nobody connects, refreshes or disconnects another user's account, however
// they name it.
func TestOthersConnection(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	bob := b.browser("bob")
	bob.connect("own")
	eve := b.browser("eve")
	for _, action := range []string{"disconnect", "refresh"} {
		for _, attempt := range []string{"", "?connection=bob", "?user=bob&connection=bob&http.auth.user.id=bob"} {
			eve.send("POST", "/connect/own/"+action+attempt, "connection=bob&user=bob", "X-Forwarded-User", "bob", "Remote-User", "bob")
		}
	}
	bob.wantServed("own")
	p.WantRequests(t, 1)
	// Eve names bob all over the place, and connects her own.
	target := eve.send("POST", "/connect/own/connect?connection=bob", "connection=bob&user=bob").is(303).header.Get("Location")
	eve.come(eve.consent(target, "eve")).is(303)
	if p.Grants("eve") != 1 {
		t.Error("eve has no grant")
	}
	eve.wantServed("own")
	p.RevokeGrants("eve")
	bob.wantServed("own") // with his own still
	b.browser("ann").wantUnconnected("own")
	bob.press("own", "disconnect").is(303) // the twin
	bob.wantUnconnected("own")
}

// TestNoOperators checks that without operators nobody may do anything with the shared connection.
// An operator may.
func TestNoOperators(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	b.operators = ""
	g.load(t, b.site())
	ann := b.browser("ann")
	for _, action := range []string{"connect", "refresh", "disconnect"} {
		ann.press("shared", action).is(403).wantNothing()
	}
	b.operators = "bob ann"
	g.load(t, b.site())
	ann.connect("shared")
	b.operators = "bob"
	g.load(t, b.site())
	ann.press("shared", "disconnect").is(403)
	ann.wantServed("shared")
	b.browser("bob").press("shared", "disconnect").is(303)
	ann.wantUnconnected("shared")
}

// TestForeignButtons: a page of another site can press no button, in any browser that says where
// a request comes from.
func TestForeignButtons(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	ann.connect("shared")
	p.Requests.Store(0)
	for _, action := range []string{"disconnect", "refresh", "connect"} {
		for _, fields := range [][]string{
			{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "http://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "null"},
			{"Sec-Fetch-Site", "same-site", "Origin", "http://x." + b.addr},
			{"Sec-Fetch-Site", "cross-site", "Origin", ""},
			{"Early-Data", "1"},
		} {
			want := 403
			if fields[0] == "Early-Data" {
				want = 425
			}
			ann.press("shared", action, fields...).is(want).wantNothing()
		}
	}
	p.WantRequests(t, 0)
	ann.wantServed("shared")
	ann.press("shared", "refresh").is(303) // the twins
	p.WantRequests(t, 1)
	ann.press("shared", "disconnect").is(303)
	ann.wantUnconnected("shared")
}

// TestForeignPages: a page of another origin cannot call the API through the gateway either
// , and one of the gateway can.
func TestForeignPages(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	ann.connect("shared")
	ann.connect("own")
	for _, name := range []string{"shared", "own"} {
		b.api.served.Store(0)
		for _, fields := range [][]string{
			{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "http://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "null"},
			{"Sec-Fetch-Site", "cross-site", "Origin", ""},
		} {
			for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
				v := ann.send("POST", "/"+name+"/x", "a=b", append(fields, "Content-Type", contentType)...).is(403)
				if !strings.Contains(v.body, "urn:authenticated-api:cross-origin") {
					t.Errorf("the gateway says %s", v.body)
				}
			}
		}
		if got := b.api.served.Load() + b.api.refused.Load(); got != 0 {
			t.Errorf("%d requests have reached the API", got)
		}
		ann.send("POST", "/"+name+"/x", "a=b").is(200) // the twin
	}
}
