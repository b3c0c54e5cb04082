// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// TestTabs: twenty flows in one browser, begun and ended in any order and at once, all end well.
func TestTabs(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	var callbacks []string
	for i := range 20 {
		name := []string{"shared", "own"}[i%2]
		callbacks = append(callbacks, ann.consent(ann.begin(name), "ann"))
	}
	var wg sync.WaitGroup
	for i := range callbacks {
		callback := callbacks[(i*7)%20]
		wg.Go(func() {
			if v, err := ann.try(http.MethodGet, callback, ""); err != nil || v.status != 303 {
				t.Errorf("the callback is answered with %+v, %v", v, err)
			}
		})
	}
	wg.Wait()
	p.WantRequests(t, 20)
	ann.wantServed("shared")
	ann.wantServed("own")
	for _, callback := range callbacks {
		ann.come(callback).is(200)
	}
	p.WantRequests(t, 20)
}

// TestManyTabs checks that the oldest flows are dropped, and no others, if there are more than a
// browser can hold.
func TestManyTabs(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	var states []string
	for i := range 30 {
		states = append(states, param(t, ann.begin("own"), "state"))
		if i%10 == 9 {
			time.Sleep(1100 * time.Millisecond) // a flow knows the second in which it has begun
		}
	}
	at, _ := url.Parse("http://" + b.addr + "/")
	cookies := ann.c.Jar.Cookies(at)
	size := 0
	for _, cookie := range cookies {
		size += len(cookie.Name) + len(cookie.Value) + 3
	}
	t.Logf("%d cookies of %d bytes together", len(cookies), size)
	dropped := 0
	for i, state := range states {
		v := ann.come(b.redirect() + "?error=access_denied&state=" + state).is(400)
		switch v.title() {
		case "You declined":
		case notBegun:
			if dropped++; i >= 10 { // of those of the first second any may be the oldest
				t.Errorf("flow %d is dropped", i)
			}
		default:
			t.Errorf("the page says %q", v.title())
		}
	}
	if dropped != 30-len(cookies) || len(cookies) < 20 {
		t.Errorf("%d flows are dropped, %d cookies are left", dropped, len(cookies))
	}
}

// TestFlowSurvives: a flow survives reloads and a restart, and the change of the key as long as
// the old one is there. With another key alone it does not.
func TestFlowSurvives(t *testing.T) {
	p := provider.New(t, time.Hour)
	g := newGateway(t)
	b := newBed(t, g.addr, p)
	first, second := seal.NewKey(), seal.NewKey()
	load := func(keys ...string) {
		g.options = "authenticated_api {\nkey " + strings.Join(keys, "\nkey ") + "\n}"
		g.load(t, b.site())
	}
	load(first)
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("shared"), "ann")
	load(second)
	ann.come(callback).wantRefused(p, 400, notBegun)
	load(second, first)
	g.restart(t, b.site())
	ann.come(callback).is(303)
	ann.wantServed("shared")
	ann.come(callback).is(200)
	load(seal.NewKey())
	if v := ann.come(callback).is(400); v.title() != notBegun {
		t.Errorf("the page says %q", v.title())
	}
}

// TestFlowExpires: ten minutes after it has begun a flow cannot be ended, and a moment before it
// can. Nor can a flow that begins in the future, or that belongs to another user or datasource.
func TestFlowExpires(t *testing.T) {
	p := provider.New(t, time.Hour)
	g := newGateway(t)
	b := newBed(t, g.addr, p)
	text := seal.NewKey()
	g.options = "authenticated_api {\nkey " + text + "\n}"
	g.load(t, b.site())
	key, err := seal.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*oauth.Flow)
		status int
		title  string
	}{
		{"as it is", func(*oauth.Flow) {}, 303, ""},
		{"nearly ten minutes", func(f *oauth.Flow) { f.Began = time.Now().Add(-9*time.Minute - 50*time.Second) }, 303, ""},
		{"ten minutes", func(f *oauth.Flow) { f.Began = time.Now().Add(-10 * time.Minute) }, 400, "That took longer than ten minutes"},
		{"a year", func(f *oauth.Flow) { f.Began = time.Now().Add(-365 * 24 * time.Hour) }, 400, "That took longer than ten minutes"},
		{"the future", func(f *oauth.Flow) { f.Began = time.Now().Add(5 * time.Minute) }, 400, "That took longer than ten minutes"},
		{"another user", func(f *oauth.Flow) { f.User = "bob" }, 400, somebodyElse},
		{"no user", func(f *oauth.Flow) { f.User = "" }, 400, somebodyElse},
		{"another connection", func(f *oauth.Flow) { f.Connection = "bob" }, 400, somebodyElse},
		{"no connection", func(f *oauth.Flow) { f.Connection = "" }, 400, notBegun},
		{"another datasource", func(f *oauth.Flow) { f.Datasource = "shared" }, 400, notBegun},
		{"no such datasource", func(f *oauth.Flow) { f.Datasource = "other" }, 400, notBegun},
		{"done", func(f *oauth.Flow) { f.Done = true }, 200, "The account is connected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ann := b.browser("ann")
			ann.t = t
			callback := ann.consent(ann.begin("own"), "ann")
			at, _ := url.Parse("http://" + b.addr + "/")
			cookie := ann.c.Jar.Cookies(at)[0]
			flow, err := oauth.OpenFlow(seal.NewRing(key), oauth.FlowID(param(t, callback, "state")), cookie.Value)
			if err != nil {
				t.Fatal(err)
			}
			test.change(flow)
			sealed, err := flow.Seal(seal.NewRing(key))
			if err != nil {
				t.Fatal(err)
			}
			p.Requests.Store(0)
			other := b.browser("ann") // whose jar is empty
			other.t = t
			v := other.send("GET", callback, "", "Cookie", cookie.Name+"="+sealed)
			if test.status == 400 {
				v.wantRefused(p, 400, test.title)
			} else {
				v.is(test.status)
			}
		})
	}
}

// TestChangedBetween: what has changed between the start and the end counts at the end.
func TestChangedBetween(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("shared"), "ann")
	ann.user = "bob"
	ann.come(callback).wantRefused(p, 400, somebodyElse)
	ann.user = "ann"
	b.operators = "bob"
	g.load(t, b.site())
	ann.come(callback).wantRefused(p, 403, "You may not connect this account")
	b.operators = "bob ann"
	g.load(t, b.site())
	ann.come(callback).is(303)
	ann.wantServed("shared")
}

// TestOtherNode begins a flow on one node and ends it on another node with the same key and
// storage. Then both nodes serve. Without the key the flow does not end.
func TestOtherNode(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for the other node")
	p := provider.New(t, time.Hour)
	storage, options := rig.StorageDir(t), withKey()
	one, first := newCodeProcess(t, p, storage, options)
	two, second := newCodeProcess(t, p, storage, options)
	three, third := newCodeProcess(t, p, storage, withKey())
	// A balancer in front has one address, which is the first one's here.
	for b, proc := range map[*bed]*process{two: second, three: third} {
		b.site = one.caddyfile
		proc.configured(t, b, map[bool]string{true: options, false: withKey()}[b == two])
	}
	p.Register(provider.ClientID, provider.ClientSecret, one.redirect())
	for _, proc := range []*process{first, second, third} {
		proc.start(t)
	}
	ann := one.browser("ann")
	callback := ann.consent(ann.begin("own"), "ann")
	at := func(addr string) string { return strings.Replace(callback, one.addr, addr, 1) }
	ann.come(at(three.addr)).wantRefused(p, 400, notBegun)
	ann.come(at(two.addr)).is(303)
	ann.come(callback).is(200) // the cookie says that it is done
	p.WantRequests(t, 1)
	for _, addr := range []string{one.addr, two.addr} {
		v := ann.send("GET", "http://"+addr+"/own/x", "")
		if v.status != 200 {
			t.Errorf("%s answers %d %s", addr, v.status, v.body)
		}
	}
	// Disconnected on one, it is served on the other for half a minute at most; connected again on
	// one it is served there at once.
	ann.press("own", "disconnect").is(303)
	ann.wantUnconnected("own")
	begin := time.Now()
	rig.Wait(t, "the other node to know", 40*time.Second, func() bool {
		return ann.send("GET", "http://"+two.addr+"/own/x", "").status == 401
	})
	t.Logf("the other node knows after %v", time.Since(begin))
	ann.connect("own")
	waitFor(t, "the other node to know", func() bool { return ann.send("GET", "http://"+two.addr+"/own/x", "").status == 200 })
	first.End(syscall.SIGTERM)
}

// TestHosts: what a request says of where it came to changes nothing: not where the browser
// is sent, not the redirect_uri, not the cookie, not connect_url.
func TestHosts(t *testing.T) { //nolint:tparallel // there is one Caddy in this process
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	var lies [][]string
	for _, host := range []string{"evil.example", "evil.example:80", b.addr + ".evil.example", "evil.example\\@" + b.addr, "localhost"} {
		for _, name := range []string{"Host", "X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server", "X-Original-Url", "X-Rewrite-Url"} {
			if name != "Host" || !strings.Contains(host, "\\") {
				lies = append(lies, []string{name, host})
			}
		}
		lies = append(lies, []string{"Forwarded", "host=" + host + ";proto=https"}, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", host},
			[]string{"Referer", "http://" + host + "/"}, []string{"X-Forwarded-Port", "1"}, []string{"X-Forwarded-Prefix", "//" + host})
	}
	lies = append(lies, nil)
	b.site = func() string { return strings.ReplaceAll(b.caddyfile(), people, crowd(len(lies))) }
	g.loadAnyHost(t, b)
	console := strings.TrimSuffix(b.redirect(), "callback")
	for i, lie := range lies {
		t.Run(strings.Join(lie, " "), func(t *testing.T) {
			// Each test connects an account, which takes more than a second, so each has a user of
			// its own.
			t.Parallel()
			ann := b.browser(fmt.Sprintf("u%d", i))
			ann.t, ann.word = t, "ann"
			v := ann.press("own", "connect", lie...).is(303)
			target := v.header.Get("Location")
			if !strings.HasPrefix(target, p.AuthorizationURL()+"?") || param(t, target, "redirect_uri") != b.redirect() || strings.Contains(target, "evil") {
				t.Errorf("the browser is sent to %s", target)
			}
			cookie := v.header.Get("Set-Cookie")
			if strings.Contains(strings.ToLower(cookie), "domain=") || strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "; Path=/;") {
				t.Errorf("the cookie is %s", cookie)
			}
			if v := ann.send("GET", "/own/x", "", lie...).is(401); !strings.Contains(v.body, `"connect_url":"`+console+`"`) || strings.Contains(v.body, "evil") {
				t.Errorf("the gateway says %s", v.body)
			}
			if v := ann.send("GET", "/own/x", "", append(lie, "Sec-Fetch-Mode", "navigate")...).is(401); !strings.Contains(v.body, `href="`+console+`"`) || strings.Contains(v.body, "evil") {
				t.Errorf("the gateway says %s", v.body)
			}
			if v := ann.send("GET", "/connect", "", lie...); v.status == 303 && v.header.Get("Location") != "./connect/" {
				t.Errorf("the browser is sent to %s", v.header.Get("Location"))
			}
			if v := ann.send("GET", "/connect/", "", lie...).is(200); strings.Contains(v.body, "evil") || !strings.Contains(v.body, b.redirect()) {
				t.Errorf("the page is %s", v.body)
			}
			callback := ann.consent(target, "ann")
			if v := ann.send("GET", callback, "", lie...).is(303); v.header.Get("Location") != console+cardOf("own", "connected") {
				t.Errorf("the browser is sent to %s", v.header.Get("Location"))
			}
			if v := ann.press("own", "disconnect", lie...).is(303); v.header.Get("Location") != "../"+cardOf("own", "disconnected") {
				t.Errorf("the browser is sent to %s", v.header.Get("Location"))
			}
		})
	}
}

// TestRedirects: there is no return path. Whatever is in a query, a form, a path or a field,
// the browser is sent to the provider or to the console itself.
func TestRedirects(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	console := strings.TrimSuffix(b.redirect(), "callback")
	ann.connect("own")
	state := param(t, ann.begin("own"), "state")
	n := 0
	check := func(v *visited) {
		t.Helper()
		n++
		location := v.header.Get("Location")
		if len(v.header["Location"]) == 0 && (v.status < 300 || v.status >= 400) {
			return
		}
		own := location == console || location == "../"+cardOf("own", "refreshed") || location == "./" || strings.HasPrefix(location, p.AuthorizationURL()+"?")
		// A lacking slash is added, by a reference that cannot leave the folder.
		if rest, ok := strings.CutPrefix(location, "./"); ok && !strings.ContainsAny(strings.SplitN(rest, "?", 2)[0], ":\\\t") && strings.Count(strings.SplitN(rest, "?", 2)[0], "/") == 1 {
			own = true
		}
		if at, err := url.Parse(v.url); err == nil && own {
			to, err := at.Parse(location)
			own = err == nil && (to.Host == b.addr || to.Host == p.Addr)
		}
		if len(v.header["Location"]) != 1 || !own {
			t.Errorf("%s: %d %q", v.url, v.status, v.header["Location"])
		}
	}
	for i, evil := range openRedirects() {
		if testing.Short() && i%10 != 0 {
			continue
		}
		q := url.QueryEscape(evil)
		for _, name := range []string{"next", "return", "return_to", "redirect_uri", "url", "state", "rd", "connection"} {
			check(ann.send("GET", "/connect/callback?"+name+"="+q+"&state="+state, ""))
		}
		if i%25 == 0 { // each takes a quarter of a second
			check(ann.send("POST", "/connect/own/refresh?next="+q, "next="+q+"&redirect_uri="+q+"&return="+q))
		}
	}
	for i, evil := range openRedirects() {
		if testing.Short() && i%10 != 0 {
			continue
		}
		if !strings.ContainsAny(evil, " \t\r\n\x00#?") {
			for _, prefix := range []string{"/connect/", "/connect", "/open/"} {
				if v, err := ann.try("GET", "http://"+b.addr+prefix+evil, ""); err == nil {
					check(v)
				}
			}
		}
		if i%10 == 0 { // each makes a cookie
			check(ann.press("own", "connect?redirect_uri="+url.QueryEscape(evil)+"&next="+url.QueryEscape(evil), "Cookie", "x=y"))
		}
	}
	t.Logf("%d strings, %d requests", len(openRedirects()), n)
}

// openRedirects are more than 600 strings with which open redirects were found elsewhere.
func openRedirects() (list []string) {
	schemes := []string{
		"http://", "https://", "//", "///", "////", `/\`, `\/`, `\\`, `/\/`, `\/\/`, "http:", "https:", "http:/", `http:\\`, "/%09/", "/%5c", "/%2f%2f",
		"%2f%2f", "\t//", "\n//", "\r\n//", " //", "/\t/", "/\n/", "/\r/", "/./", "/../", "//.", "/.//", "javascript:", "JaVaScRiPt:", "data:text/html,", "vbscript:", "ftp://", "file:///",
	}
	hosts := []string{
		"evil.example", "evil%2eexample", "evil.example/", "evil.example/%2f..", "evil.example?", "evil.example#", "user@evil.example", "127.0.0.1@evil.example",
		"127.0.0.1:80@evil.example", "evil.example:80", "[::1]", "0x7f000001", "2130706433", "evil。example", "ⓔvil.example", "evil.example;x", `evil.example\@127.0.0.1`, "127.0.0.1.evil.example",
	}
	for _, scheme := range schemes {
		for _, host := range hosts {
			list = append(list, fmt.Sprint(scheme, host))
		}
	}
	return list
}
