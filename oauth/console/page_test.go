// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

func since(d time.Duration) *time.Time {
	at := time.Now().Add(-d)
	return &at
}

// shows checks what stands on a page.
func (a *answer) shows(words ...string) *answer {
	a.t.Helper()
	for _, word := range words {
		if !strings.Contains(a.Body.String(), word) {
			a.t.Errorf("the page does not show %q: %s", word, a.Body)
		}
	}
	return a
}

// hides checks what does not stand on a page.
func (a *answer) hides(words ...string) *answer {
	a.t.Helper()
	for _, word := range words {
		if strings.Contains(a.Body.String(), word) {
			a.t.Errorf("the page shows %q: %s", word, a.Body)
		}
	}
	return a
}

// TestPage has a connection in each state, seen by an operator and by somebody else.
func TestPage(t *testing.T) {
	const redirect, forms = "https://gw.example/connect/callback", "<form"
	for name, test := range map[string]struct {
		ds           *fake
		ann, bob     []string
		annNot, both []string
		hidden       bool // from bob
	}{
		"connected": {
			ds: &fake{status: &connection.Status{
				State: connection.StateConnected, Renewable: true, ConnectedAt: since(49 * time.Hour), RefreshedAt: since(20 * time.Minute), ExpiresAt: since(-40*time.Minute - time.Second),
			}},
			both: []string{"Connected<", "2 days ago", "20 minutes ago", "Ends in 40 minutes", "renewed by itself", "One account for all callers"},
			ann:  []string{">Connect again<", `action="x/connect"`, `action="x/refresh"`, `action="x/disconnect"`, redirect},
		},
		"connected, expired": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected, Renewable: true, ExpiresAt: since(time.Minute)}},
			both: []string{"Has ended; renewed by itself with the next call"},
		},
		"connected, without refresh token": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected, ExpiresAt: since(-40*time.Minute - time.Second)}},
			both: []string{"Ends in 40 minutes", "connect again by then"},
			ann:  []string{">Connect again<", `action="x/disconnect"`}, annNot: []string{`action="x/refresh"`},
		},
		"connected, no expiry": {
			ds:   &fake{status: &connection.Status{State: connection.StateConnected}},
			both: []string{"used until the API refuses it"}, annNot: []string{`action="x/refresh"`},
		},
		"refused, and asked again": {
			ds:   &fake{status: &connection.Status{State: connection.StateReauthorize, Renewable: true, LastError: "refused"}},
			both: []string{"Must be connected again"}, ann: []string{`action="x/refresh"`},
		},
		"revoked": {
			ds:     &fake{status: &connection.Status{State: connection.StateReauthorize, LastError: "revoked", ConnectedAt: since(time.Hour)}},
			both:   []string{"Must be connected again", "1 hour ago"},
			ann:    []string{"The provider has withdrawn the access", "<code>revoked</code>", ">Connect again<", `action="x/disconnect"`, redirect},
			annNot: []string{`action="x/refresh"`},
		},
		"lost": {
			ds:  &fake{status: &connection.Status{State: connection.StateReauthorize, LastError: "lost_in_crash"}},
			ann: []string{"broke down in the very moment of a renewal"},
		},
		"a code nobody knows": {
			ds:  &fake{status: &connection.Status{State: connection.StateConnected, LastError: "very_strange"}},
			ann: []string{"The token could not be renewed", "<code>very_strange</code>"},
		},
		"a hostile code": {
			ds:     &fake{status: &connection.Status{State: connection.StateConnected, LastError: `"><script>alert(1)</script>`}},
			ann:    []string{"The token could not be renewed"},
			annNot: []string{"script", "alert"},
		},
		"never connected": {
			ds:     &fake{},
			both:   []string{"Not connected"},
			ann:    []string{">Connect<", redirect},
			annNot: []string{`action="x/refresh"`, `action="x/disconnect"`},
		},
		"unreadable": {
			ds:   &fake{readErr: errors.New("read-only")},
			both: []string{"State not known"},
			ann:  []string{"cannot be read now", `action="x/connect"`},
		},
		"sealed with another key": {
			ds:  &fake{readErr: record.ErrKeyMissing},
			ann: []string{"a key that this gateway lacks"},
		},
		"client_credentials, not used yet": {ds: &fake{machine: true}, ann: []string{`action="x/refresh"`, "Not used yet"}, hidden: true},
		"client_credentials": {
			ds:     &fake{machine: true, status: &connection.Status{State: connection.StateConnected, Renewable: true, ExpiresAt: since(-time.Hour)}},
			ann:    []string{`action="x/refresh"`, "own access"},
			annNot: []string{`action="x/connect"`, `action="x/disconnect"`, "<textarea"},
			hidden: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.ds.name = "x"
			g := newBed(t, test.ds)
			for _, user := range []string{"ann", "bob"} {
				a := g.do(ask{user: user, path: "/connect/"}).is(200).says("Connected accounts").shows("<strong>" + user + "</strong>")
				switch {
				case user == "ann":
					a.shows(test.both...).shows(test.ann...).hides(test.annNot...)
				case test.hidden:
					a.shows("There is nothing to connect yet").hides("name-x")
				default:
					a.shows(test.both...).hides(forms, redirect, "Last problem", "<code>", "script>")
				}
			}
		})
	}
}

// TestOwnConnection shows people their own connection, and no other.
func TestOwnConnection(t *testing.T) {
	ds := &fake{name: "mine", perUser: true}
	g := newBed(t, ds)
	for _, user := range []string{"ann", "bob"} {
		g.do(ask{user: user, account: user, path: "/connect/"}).is(200).shows("Your own account", `action="mine/connect"`, ds.Redirect())
		ds.called(t, `status "`+user+`"`)
		g.do(ask{user: user, path: "/connect/"}).is(200).shows("You have no identity for this one").hides("<form", ds.Redirect())
		ds.called(t, "")
	}
}

// TestEscaping has names of people that are markup.
func TestEscaping(t *testing.T) {
	const user = `<script>alert("1")</script>{{.}}</style>`
	g := newBed(t, &fake{name: "crm"}, &fake{name: "mine", perUser: true})
	g.operators[user] = true
	for _, path := range []string{"/connect/", "/connect/none"} {
		a := g.do(ask{user: user, path: path}).hides("<script", `alert("1")`).shows("&lt;script&gt;")
		if strings.Count(a.Body.String(), "</style>") != 1 {
			t.Error(a.Body)
		}
	}
	g.openTicket = func(*seal.Ring, string) (*oauth.Ticket, error) {
		return &oauth.Ticket{Datasource: "mine", Connection: user}, nil
	}
	g.do(ask{path: "/connect/?ticket=" + url.QueryEscape(`"><script>`)}).is(200).hides("<script").shows("&lt;script&gt;", `value="&#34;&gt;&lt;script&gt;"`)
}

// TestPolicy checks that the page's style is the one that the policy allows, and that nothing else would be loaded.
func TestPolicy(t *testing.T) {
	g := newBed(t, &fake{name: "crm"})
	a := g.do(ask{user: "ann", path: "/connect/"}).is(200)
	body := a.Body.String()
	_, rest, _ := strings.Cut(body, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
	if got := a.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("Content-Security-Policy: %q, want %q", got, want)
	}
	for _, bad := range []string{`style="`, "<script", "<img", "<link", "url(", "@import", "onclick", "http:", `src="`} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %s in it", bad)
		}
	}
	if got := a.Header().Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("Referrer-Policy: %q", got)
	}
	if got := a.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type: %q", got)
	}
}

// TestStructure checks what people who do not see a page need of it.
func TestStructure(t *testing.T) {
	g := newBed(t, &fake{name: "crm"}, &fake{name: "files", status: &connection.Status{State: connection.StateConnected}})
	body := g.do(ask{user: "ann", path: "/connect/"}).is(200).Body.String()
	for part, count := range map[string]int{
		"<h1": 1, "<h2": 2, "<header": 1, "<main>": 1, `<html lang="en">`: 1, `name="viewport"`: 1, "<title>": 1, "<label": 2, "<textarea": 2,
	} {
		if got := strings.Count(body, part); got != count {
			t.Errorf("%s stands there %d times, want %d", part, got, count)
		}
	}
	ids := regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(body, -1)
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id[1]] {
			t.Errorf("two elements are called %s", id[1])
		}
		seen[id[1]] = true
	}
	for _, ref := range regexp.MustCompile(` (?:for|aria-labelledby)="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if !seen[ref[1]] {
			t.Errorf("there is no element %s", ref[1])
		}
	}
}

// TestRoutes checks paths and methods, with and without the mount stripped.
func TestRoutes(t *testing.T) {
	ds := &fake{name: "crm"}
	g := newBed(t, ds)
	for _, whole := range []bool{false, true} {
		for _, test := range []struct {
			method, path string
			status       int
			more         string // Allow, Location, or the address of the page's link
		}{
			{"GET", "/connect/", 200, ""},
			{"HEAD", "/connect/", 200, ""},
			{"POST", "/connect/", 405, "GET, HEAD"},
			{"GET", "/connect/crm/connect", 405, "POST"},
			{"GET", "/connect/none/connect", 405, "POST"},
			{"HEAD", "/connect/crm/connect", 405, "POST"},
			{"PUT", "/connect/crm/connect", 405, "POST"},
			{"GET", "/connect/crm", 404, "./"},
			{"GET", "/connect/crm/", 404, "../"},
			{"GET", "/connect/crm/delete", 404, "../"},
			{"POST", "/connect/crm/delete", 404, "../"},
			{"POST", "/connect//connect", 404, "../"},
			{"POST", "/connect/a/crm/connect", 404, "../../"},
			{"POST", "/connect/crm/connect/", 404, "../../"},
			{"POST", "/connect/crm/refresh", 303, "../"},
			{"POST", "/connect/crm/disconnect", 303, "../"},
			{"GET", "/connect", 303, "./connect/"},
			{"GET", "/connect?ticket=ticket-for-crm", 303, "./connect/?ticket=ticket-for-crm"},
		} {
			a := g.do(ask{user: "ann", method: test.method, path: test.path, whole: whole}).is(test.status)
			got := ""
			switch test.status {
			case 303:
				got = a.Header().Get("Location")
			case 404:
				if m := regexp.MustCompile(`href="([^"]*)"`).FindStringSubmatch(a.Body.String()); m != nil {
					got = m[1]
				}
			case 405:
				got = a.Header().Get("Allow")
			}
			if got != test.more {
				t.Errorf("%s %s: %q, want %q", test.method, test.path, got, test.more)
			}
			if (a.Body.Len() == 0) != (test.method == "HEAD" || test.status == 303) {
				t.Errorf("%s %s: the body has %d bytes", test.method, test.path, a.Body.Len())
			}
			if a.skipped != strings.Contains(test.path, "ticket") {
				t.Errorf("%s %s: left out of the log: %t", test.method, test.path, a.skipped)
			}
		}
	}
}

// TestFailures has the datasource fail at what a button asks for.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		action string
		err    error
		status int
		words  string
	}{
		"refused":             {"refresh", &provider.Error{Status: 401, Code: "invalid_client"}, 502, "client id and secret"},
		"down":                {"refresh", &provider.Error{Status: 503}, 503, "no answer that the gateway can use"},
		"withdrawn":           {"refresh", &record.AuthorizationError{Reason: "revoked"}, 503, "withdrawn the access"},
		"a GitHub client":     {"refresh", &provider.Error{Status: 200, Code: "incorrect_client_credentials"}, 502, "client id and secret"},
		"a Slack client":      {"refresh", &provider.Error{Status: 200, Code: "bad_client_secret"}, 502, "client id and secret"},
		"a code nobody knows": {"refresh", &provider.Error{Status: 400, Code: "strange"}, 503, "a reason that this gateway does not know"},
		"not renewable":       {"refresh", connection.ErrNotRenewable, 409, "given no refresh token"},
		"key":                 {"refresh", record.ErrKeyMissing, 503, "a key that this gateway lacks"},
		"disconnect":          {"disconnect", errors.New("read-only"), 503, "Its log says what"},
		"not revoked":         {"disconnect", &connection.RevocationError{Err: errors.New("503")}, 200, "Remove the access in your account"},
		"cannot begin":        {"connect", errors.New("{file.x} is empty"), 503, "configuration or storage"},
		"nothing wrong":       {"refresh", nil, 303, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newBed(t, &fake{name: "crm", err: test.err})
			a := g.do(ask{user: "ann", method: "POST", path: "/connect/crm/" + test.action}).is(test.status).shows(test.words)
			if test.status != 303 && !strings.Contains(a.Body.String(), `href="../"`) {
				t.Errorf("there is no way back: %s", a.Body)
			}
		})
	}
}

// TestLogs checks that who does what is logged, and that refusals are not, but for debugging.
func TestLogs(t *testing.T) {
	g := newBed(t, &fake{name: "crm"})
	state, cookie := g.connect("ann", "", "crm")
	g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}}).is(303)
	g.do(ask{user: "ann", method: "POST", path: "/connect/crm/refresh"}).is(303)
	g.do(ask{user: "ann", method: "POST", path: "/connect/crm/disconnect"}).is(303)
	g.do(ask{user: "bob", method: "POST", path: "/connect/crm/disconnect"}).is(403)
	var lines []string
	for _, entry := range g.logs.All() {
		fields := entry.ContextMap()
		lines = append(lines, entry.Level.String()+" "+entry.Message+" by "+fields["user"].(string))
		if ds := fields["datasource"]; ds != nil && ds != "crm" || ds == nil && entry.Message != "refused a request" {
			t.Errorf("%s: datasource %v", entry.Message, ds)
		}
	}
	want := "info connecting an account by ann\ninfo connected an account by ann\ninfo refreshed a connection by ann\n" +
		"info disconnected an account by ann\ndebug refused a request by bob"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
}

// TestWhoOperates: who may press no button is told who may, and what the gateway takes them for.
func TestWhoOperates(t *testing.T) {
	const named, none, capitals = "named in the configuration; you are ", "it names none; you are ", "other capital letters"
	for _, tt := range []struct {
		operators []string
		user      string
		ds        *fake
		want      string
		not       []string
	}{
		{[]string{"ann"}, "bob", &fake{name: "crm"}, named + "bob.", []string{capitals, "<button"}},
		{[]string{"Ann"}, "ann", &fake{name: "crm"}, named + "ann.", []string{"<button"}},
		{[]string{"Ann"}, "ann", &fake{name: "crm"}, capitals, nil},
		{[]string{"ann "}, "ann", &fake{name: "crm"}, capitals, nil},
		{nil, "bob", &fake{name: "crm"}, none + "bob.", []string{"<button"}},
		{[]string{"ann"}, "<b>", &fake{name: "crm"}, named + "&lt;b&gt;.", nil},
		{[]string{"ann"}, "ann", &fake{name: "crm"}, "<button", []string{"you are"}},
		{[]string{"ann"}, "bob", &fake{name: "crm", perUser: true}, "<button", []string{"you are"}},
	} {
		g := newBed(t, tt.ds)
		g.operators = make(map[string]bool)
		for _, operator := range tt.operators {
			g.operators[operator] = true
		}
		g.do(ask{user: tt.user, account: tt.user, path: "/connect/"}).is(200).shows(tt.want).hides(tt.not...)
		if warned := g.logs.FilterMessageSnippet("compared byte by byte").Len() > 0; warned != (len(tt.operators) > 0 && tt.operators[0] != tt.user && strings.EqualFold(strings.TrimSpace(tt.operators[0]), tt.user)) {
			t.Errorf("%v, %s: warned: %t", tt.operators, tt.user, warned)
		}
	}
}

// TestNowhere: where the way back would lead to no console, nobody is sent to the provider, to come to an empty page with a code that is
// spent then.
func TestNowhere(t *testing.T) {
	for _, tt := range []struct {
		base, path string
		leads      bool // another console is there
		ok         bool
	}{
		{base: "https://gw.example/connect/", path: "/connect/", ok: true},
		{base: "https://gw.example/oauth/", path: "/connect/"},
		{base: "https://gw.example/oauth/", path: "/connect/", leads: true, ok: true},
		{base: "https://gw.example/", path: "/connect/", ok: true},
		{base: "https://gw.example/gw/connect/", path: "/connect/", ok: true}, // a proxy in front strips /gw
		{base: "https://gw.example/connected/", path: "/connect/"},
		{base: "https://gw.example/connect/other/", path: "/connect/"},
	} {
		ds := &fake{name: "crm", base: tt.base}
		g := newBed(t, ds)
		g.leads = func(redirect string) bool { return tt.leads && redirect == tt.base+"callback" }
		a := ask{user: "ann", method: "POST", path: tt.path + "crm/connect"}
		if !strings.HasPrefix(tt.path, "/connect") {
			a.whole = true
		}
		switch res := g.do(a); {
		case tt.ok && res.Code != 303:
			t.Errorf("%+v: %d %s", tt, res.Code, res.title())
		case !tt.ok:
			res.is(409).says("The way back would lead nowhere").shows(tt.base + "callback")
			ds.called(t, "")
			if g.logs.FilterMessageSnippet("redirect_url leads").Len() != 1 {
				t.Error("nothing is logged")
			}
		}
	}
}
