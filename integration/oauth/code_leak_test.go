// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// wantNotLogged fails the test if a log has a secret in it. What Caddy's rewrite, which
// handle_path is, logs of a request's URI when it debugs is Caddy's.
func wantNotLogged(t testing.TB, file string, secrets ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range bytes.Lines(text) {
		var e rig.Entry
		if json.Unmarshal(line, &e) == nil && e["logger"] == "http.handlers.rewrite" {
			continue
		}
		lines++
		for _, secret := range secrets {
			for _, form := range forms(secret) {
				if bytes.Contains(line, []byte(form)) {
					t.Errorf("%q is in the log: %s", form, line)
					break
				}
			}
		}
	}
	if lines == 0 {
		t.Errorf("%s is empty", file)
	}
}

// TestCodeLeaks checks that the logs, the storage, the admin API, pages and problems show no
// secret of a connection. The scan itself finds each secret where it must be.
func TestCodeLeaks(t *testing.T) {
	p := provider.New(t, 3*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	canaries := map[string]string{"client secret": secret}
	var mu sync.Mutex
	add := func(what, val string) {
		mu.Lock()
		defer mu.Unlock()
		if len(val) < 16 {
			t.Fatalf("%s is %q", what, val)
		}
		canaries[fmt.Sprintf("%s %d", what, len(canaries))] = val
	}
	p.SetRewrite(func(answer map[string]any) {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if text, ok := answer[name].(string); ok {
				add(name, text)
			}
		}
	})
	options, admin := withAdmin(t)
	g := newGateway(t)
	g.options = options
	b := newBed(t, g.addr, p)
	b.more = "revocation_url " + p.RevocationURL()
	// Without handle_path, whose rewrite logs the URI when Caddy debugs.
	site := strings.NewReplacer("handle_path /connect/*", "handle /connect/*", "handle_path /open/*", "handle /open/*").Replace(b.site())
	g.load(t, site)

	var answers []string // what people and programs get to see
	see := func(v *visited) *visited { answers = append(answers, v.body); return v }
	ask := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+admin+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text)
	}
	ann := b.browser("ann")
	at, _ := url.Parse("http://" + b.addr + "/")
	flow := func() string {
		callback := ann.consent(ann.begin("shared"), "ann")
		add("code", param(t, callback, "code"))
		add("state", param(t, callback, "state"))
		for _, cookie := range ann.c.Jar.Cookies(at) {
			add("cookie", cookie.Value)
		}
		return callback
	}
	see(ann.send("GET", "/shared/x", "").is(503))
	p.FailNext(400, `{"error":"invalid_grant"}`)
	see(ann.come(flow()).is(502))
	callback := flow()
	see(b.browser("bob").come(callback).is(400))
	see(ann.come(callback).is(303))
	see(ann.come(callback).is(200))
	see(ann.send("GET", "/connect/", "").is(200))
	ann.wantServed("shared")
	answers = append(answers, ask("POST", "/authenticated_api/refresh", `{"datasource":"shared"}`), ask("GET", "/authenticated_api/connections", ""), ask("GET", "/config/", ""))
	var link struct{ URL string }
	if err := json.Unmarshal([]byte(ask("POST", "/authenticated_api/connect", `{"datasource":"shared"}`)), &link); err != nil {
		t.Fatal(err)
	}
	add("ticket", param(t, link.URL, "ticket"))
	guest := b.browser("eve") // with a password for basic_auth, which is in front
	ticketPage := link.URL
	if page := guest.send("GET", ticketPage, "").is(200); !strings.Contains(page.body, param(t, link.URL, "ticket")) {
		t.Error("the ticket is not in its page")
	}
	v := guest.send("POST", strings.Split(ticketPage, "?")[0]+"shared/connect", url.Values{"ticket": {param(t, link.URL, "ticket")}}.Encode(), "Referer", ticketPage).is(303)
	add("state", param(t, v.header.Get("Location"), "state"))
	p.FailNext(503, "down")
	see(ann.press("shared", "refresh"))
	for range 10 {
		p.FailNext(400, `{"error":"invalid_grant"}`)
	}
	waitFor(t, "the end", func() bool { return see(ann.call("shared")).status == 503 })
	p.FailNoMore()
	see(ann.send("GET", "/shared/x", "", "Sec-Fetch-Mode", "navigate"))
	answers = append(answers, ask("POST", "/authenticated_api/refresh", `{"datasource":"shared"}`), ask("GET", "/authenticated_api/connections", ""),
		ask("POST", "/authenticated_api/disconnect", `{"datasource":"shared"}`))
	for _, form := range p.Forms() {
		if verifier := form.Get("code_verifier"); verifier != "" {
			add("verifier", verifier)
		}
	}
	if len(canaries) < 15 {
		t.Fatalf("there are %d canaries", len(canaries))
	}
	for what, val := range canaries {
		scan := func(where, text string) {
			for _, form := range forms(val) {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("the %s is in %s: …%s", what, where, text[max(0, i-300):min(len(text), i+40)])
					return
				}
			}
		}
		text, err := os.ReadFile(g.log)
		if err != nil {
			t.Fatal(err)
		}
		scan("the log", string(text))
		for _, answer := range answers {
			scan("an answer", answer)
		}
		wantNoSecret(t, g.storage, val)
		file := filepath.Join(tempDir(t), "planted") // the scan finds it
		if err := os.WriteFile(file, []byte("x"+base64.StdEncoding.EncodeToString([]byte("ab"+val+"c"))), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(file); !slices.ContainsFunc(forms(val), func(form string) bool { return bytes.Contains(text, []byte(form)) }) {
			t.Errorf("the scan does not find the %s", what)
		}
	}
}

// TestAccessLog: callbacks, tickets, and the answers that send a browser to a provider are left
// out of access logs, and nothing else is.
func TestAccessLog(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	ann := b.browser("ann")
	ann.connect("shared")
	ann.send("GET", "/connect/callback?code=c4nary-code&state=c4nary-state", "").is(400)
	ann.send("POST", "/connect/callback?code=c4nary-code&state=c4nary-state", "").is(405)
	ann.send("GET", "/connect/other/callback?code=c4nary-code", "").is(404)
	ann.send("GET", "/connect/?ticket=c4nary-ticket", "").is(403)
	ann.send("GET", "/connect/?x=%zz&ticket=c4nary-ticket", "")
	ann.send("GET", "/connect/favicon.ico", "", "Referer", "http://"+b.addr+"/connect/?ticket=c4nary-ticket").is(404)
	ann.send("GET", "/connect/?seen=1", "").is(200)
	ann.send("GET", "/connect/nothing?seen=2", "").is(404)
	ann.press("shared", "disconnect").is(303)
	ann.send("GET", "/shared/x?seen=3", "").is(503)
	seen := accessed(t, g.log, "/shared/x?seen=3")
	for _, uri := range []string{"/connect/?seen=1", "/connect/nothing?seen=2", "/connect/shared/disconnect"} {
		if !seen[uri] {
			t.Errorf("%s is not in the access log", uri)
		}
	}
	for uri := range seen {
		if strings.Contains(uri, "callback") || strings.Contains(uri, "c4nary") || strings.Contains(uri, "code=") || strings.HasSuffix(uri, "/connect") {
			t.Errorf("%s is in the access log", uri)
		}
	}
	wantNotLogged(t, g.log, "c4nary-code", "c4nary-state", "c4nary-ticket")
}

// accessed returns the URIs in an access log, when a certain one is there.
func accessed(t *testing.T, log, last string) map[string]bool {
	t.Helper()
	seen := make(map[string]bool)
	waitFor(t, "the log", func() bool {
		for _, e := range rig.Logged(t, log, "handled request") {
			request, _ := e["request"].(map[string]any)
			seen[fmt.Sprint(request["uri"])] = true
		}
		return seen[last]
	})
	return seen
}

// TestAccessLogBehindAuth checks that secrets in URLs are not in the access log either if the
// authentication in front refuses the request, as it refuses a browser's first request. The site
// must say so, as the README does, because the console never sees such a request.
func TestAccessLogBehindAuth(t *testing.T) {
	p := provider.New(t, time.Hour)
	g := newGateway(t)
	b := newBed(t, g.addr, p)
	b.site = func() string {
		return "log_skip /connect/callback\n@links query ticket=*\nlog_skip @links\n" + b.caddyfile()
	}
	g.load(t, b.site())
	nobody := b.browser("")
	nobody.send("GET", "/connect/callback?code=c4nary-code&state=c4nary-state", "").is(401)
	nobody.send("GET", "/connect/?ticket=c4nary-ticket", "").is(401)
	nobody.send("GET", "/connect/?seen=1", "").is(401)
	for uri := range accessed(t, g.log, "/connect/?seen=1") {
		if strings.Contains(uri, "c4nary") {
			t.Errorf("%s is in the access log", uri)
		}
	}
}

// TestTicket checks that a link of the admin API lets a person who is no user of the gateway
// connect one connection once.
func TestTicket(t *testing.T) {
	p := provider.New(t, time.Hour)
	g := newGateway(t)
	options, admin := withAdmin(t)
	g.options = options
	b := newBed(t, g.addr, p)
	b.site = func() string { // a console that anybody reaches, as it is behind a firewall
		return strings.Replace(b.caddyfile(), "handle_path /connect/* {\n"+people, "handle_path /connect/* {\n", 1)
	}
	g.load(t, b.site())
	link := func(body string) string {
		res, err := http.Post("http://"+admin+"/authenticated_api/connect", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct{ URL string }
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != 200 {
			t.Fatalf("the admin API answers %d, %v", res.StatusCode, err)
		}
		return answer.URL
	}
	one, two := link(`{"datasource":"own","connection":"bob"}`), link(`{"datasource":"own","connection":"bob"}`)
	press := func(br *browser, name, ticket string, fields ...string) *visited {
		return br.send("POST", "/connect/"+name+"/connect", url.Values{"ticket": {ticket}}.Encode(), fields...)
	}
	guest := b.browser("")
	ticket := param(t, one, "ticket")
	guest.send("GET", "/connect/", "").is(403)
	guest.send("GET", one, "").is(200)
	guest.send("HEAD", one, "").is(200)
	guest.send("GET", one, "", "Early-Data", "1").is(425)
	guest.send("GET", one+"&ticket=x", "").is(403)
	for i := 0; i < len(ticket); i += 10 {
		changed := "A"
		if ticket[i] == 'A' {
			changed = "B"
		}
		press(guest, "own", ticket[:i]+changed+ticket[i+1:]).is(403).wantNothing()
	}
	press(guest, "shared", ticket).is(403).wantNothing()
	press(guest, "own", ticket, "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example").is(403).wantNothing()
	press(guest, "own", ticket, "Early-Data", "1").is(425).wantNothing()
	guest.send("POST", "/connect/own/disconnect", url.Values{"ticket": {ticket}}.Encode()).is(403).wantNothing()
	guest.send("POST", "/connect/own/connect?ticket="+ticket, "").is(403).wantNothing()

	other := b.browser("")
	late := other.consent(press(other, "own", param(t, two, "ticket")).is(303).header.Get("Location"), "eve")
	callback := guest.consent(press(guest, "own", ticket).is(303).header.Get("Location"), "bob")
	other.come(callback).wantRefused(p, 403, "You are not signed in") // without its cookie
	v := guest.come(callback).is(303)
	done := guest.send("GET", v.header.Get("Location"), "").is(200)
	if done.title() != "The account is connected" || strings.Contains(v.header.Get("Location"), "code") {
		t.Errorf("the page at %s says %q", v.header.Get("Location"), done.title())
	}
	bob := b.browser("bob")
	bob.wantServed("own")
	p.WantRequests(t, 1)
	// Both tickets were for one connection, and that has changed. The slower person is told so
	// before a code is spent.
	if v := other.come(late).is(400); v.title() != "This link has been used" {
		t.Errorf("the page says %q", v.title())
	}
	guest.send("GET", one, "").is(403)
	press(guest, "own", ticket).is(403).wantNothing()
	p.WantRequests(t, 1)
	if p.Grants("eve") != 0 {
		t.Error("eve has a grant")
	}
	bob.wantServed("own")
}
