// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// wantRefused fails the test unless a callback was refused in fixed words, and nothing came of
// it: no token request, no grant, and no cookie except one that is removed.
func (v *visited) wantRefused(p *provider.Provider, status int, title string) {
	v.t.Helper()
	v.is(status)
	if v.title() != title {
		v.t.Errorf("the page says %q, want %q", v.title(), title)
	}
	if v.header.Get("Location") != "" || v.header.Get("Cache-Control") != "no-store" || v.header.Get("Referrer-Policy") != "no-referrer" ||
		!strings.HasPrefix(v.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
		v.t.Errorf("the answer has %v", v.header)
	}
	p.WantRequests(v.t, 0)
}

const (
	notBegun     = "This did not begin in this browser, or too long ago"
	somebodyElse = "Somebody else began this"
)

// TestLoginCSRF: neither can an attacker's code be finished in a victim's browser, nor a victim's
// in the attacker's.
func TestLoginCSRF(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann, eve := b.browser("ann"), b.browser("eve")
	ofEve := eve.consent(eve.begin("own"), "eve")
	ann.come(ofEve).wantRefused(p, 400, notBegun)
	ofAnn := ann.consent(ann.begin("own"), "ann")
	ann.come(ofEve).wantRefused(p, 400, notBegun) // with a flow of her own too
	eve.come(ofAnn).wantRefused(p, 400, notBegun)
	ann.come(withParam(t, ofEve, "state", param(t, ofAnn, "state")+" ")).wantRefused(p, 400, notBegun)
	// Eve plants her cookie in ann's browser, as from a neighbouring host.
	planted := b.browser("ann")
	at, _ := url.Parse("http://" + b.addr + "/")
	planted.c.Jar.SetCookies(at, eve.c.Jar.Cookies(at))
	planted.come(ofEve).wantRefused(p, 400, somebodyElse)
	// Nor does it help a browser that is not signed in.
	nobody := b.browser("")
	nobody.c.Jar.SetCookies(at, eve.c.Jar.Cookies(at))
	nobody.come(ofEve).is(401) // by basic_auth
	if p.Grants("eve")+p.Grants("ann") != 0 {
		t.Error("there is a grant")
	}

	eve.come(ofEve).is(303) // the twins
	ann.come(ofAnn).is(303)
	ann.wantServed("own")
	eve.wantServed("own")
}

// TestState checks that a callback is refused if its state belongs to no flow in the browser, and
// that the flow can still end.
func TestState(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("shared"), "ann")
	other := ann.consent(ann.begin("own"), "ann") // of the same browser
	state := param(t, callback, "state")
	for _, wrong := range []string{
		"x", state[1:], state[:len(state)-1], strings.ToLower(state), state + "A", state + "=", " " + state, state + "\x00", state + "%00",
		strings.Repeat("A", len(state)), "undefined", strings.Repeat(state, 200),
	} {
		ann.come(withParam(t, callback, "state", wrong)).wantRefused(p, 400, notBegun)
	}
	for _, more := range []string{"&state=" + state, "&state=x", "&code=x", "&code=", "&iss=a&iss=b", "&error=a&error=b", "&state=%zz", "&code=a;b"} {
		ann.come(callback+more).wantRefused(p, 400, "The provider&#39;s answer cannot be read")
	}
	const stateless = "The answer does not say what it is for"
	ann.come(b.redirect()).wantRefused(p, 400, stateless)
	ann.come(withParam(t, callback, "state", "")).wantRefused(p, 400, stateless)
	ann.come(b.redirect()+"?code="+param(t, callback, "code")).wantRefused(p, 400, stateless)
	ann.come(b.redirect()+"?error=access_denied").wantRefused(p, 400, "You declined")
	ann.come(withParam(t, callback, "code", "")).wantRefused(p, 400, "The provider&#39;s answer is incomplete")
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		v := ann.send(method, callback, "").is(405)
		if v.header.Get("Allow") != "GET" {
			t.Errorf("Allow: %s", v.header.Get("Allow"))
		}
		v.wantNothing()
	}
	// This is the response mode form_post.
	ann.send("POST", b.redirect(), callback[strings.Index(callback, "?")+1:]).is(405).wantNothing()
	ann.send("GET", callback, "", "Early-Data", "1").is(425).wantNothing()
	p.WantRequests(t, 0)

	ann.come(callback + "&scope=a;b&x=%zz").is(303) // what nobody needs is skipped
	ann.come(other).is(303)
	p.WantRequests(t, 2)
	ann.wantServed("shared")
	// The replay of a state, also with another code, gets the answer that all is done. The
	// provider is not asked.
	for _, again := range []string{callback, withParam(t, callback, "code", "x"), withParam(t, callback, "code", param(t, other, "code"))} {
		if v := ann.come(again).is(200); v.title() != "The account is connected" {
			t.Errorf("the page says %q", v.title())
		}
	}
	p.WantRequests(t, 2)
	if p.CodesReused() != 0 {
		t.Error("a code was redeemed again")
	}
}

// TestFlowCookie checks that a flow ends only with its own unchanged cookie, for the user who has
// begun the flow.
func TestFlowCookie(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("own"), "ann")
	at, _ := url.Parse("http://" + b.addr + "/connect/callback")
	cookie := ann.c.Jar.Cookies(at)[0]
	ann.begin("own")
	both := ann.c.Jar.Cookies(at)
	other := both[0]
	if other.Name == cookie.Name {
		other = both[1]
	}
	try := func(user, name, val string) *visited {
		br := b.browser(user)
		return br.send("GET", callback, "", "Cookie", name+"="+val)
	}
	for i := 0; i < len(cookie.Value); i += 10 {
		for _, c := range []byte{'A', 'B', '.'} {
			if cookie.Value[i] != c {
				try("ann", cookie.Name, cookie.Value[:i]+string(c)+cookie.Value[i+1:]).wantRefused(p, 400, notBegun)
			}
		}
		try("ann", cookie.Name, cookie.Value[:i]).wantRefused(p, 400, notBegun)
	}
	for name, val := range map[string]string{
		cookie.Name: other.Value, other.Name: cookie.Value, "__Host-" + cookie.Name: cookie.Value, strings.ToUpper(cookie.Name): cookie.Value,
		cookie.Name + "0": cookie.Value, "authenticated_api_flow_": cookie.Value, "x" + cookie.Name: cookie.Value,
	} {
		try("ann", name, val).wantRefused(p, 400, notBegun)
	}
	try("bob", cookie.Name, cookie.Value).wantRefused(p, 400, somebodyElse)
	if !cookie.HttpOnly { // the jar does not tell; the header does
		v := ann.press("own", "connect").is(303)
		text := v.header.Get("Set-Cookie")
		for _, attribute := range []string{"; Path=/", "; Max-Age=600", "; HttpOnly", "; SameSite=Lax"} {
			if !strings.Contains(text, attribute) {
				t.Errorf("the cookie is %s", text)
			}
		}
	}
	// There are two cookies of that name, and a neighbour has planted the first.
	try("ann", cookie.Name, other.Value+"; "+cookie.Name+"="+cookie.Value).is(303)
}

// TestOtherCode: a code of another flow is worth nothing in this one, since the verifier is this
// one's.
func TestOtherCode(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann, eve := b.browser("ann"), b.browser("eve")
	ofEve := eve.consent(eve.begin("own"), "eve")
	ofAnn := ann.consent(ann.begin("own"), "ann")
	v := ann.come(withParam(t, ofAnn, "code", param(t, ofEve, "code"))).is(502)
	if v.title() != "The account could not be connected" || strings.Contains(v.body, "PKCE") {
		t.Errorf("the page says %s", v.body)
	}
	p.WantRequests(t, 1)
	ann.wantUnconnected("own")
	if p.Grants("ann")+p.Grants("eve") != 0 {
		t.Error("there is a grant")
	}
	eve.come(ofEve).is(303)
	eve.wantServed("own")
	ann.connect("own")
	ann.wantServed("own")
}

// TestIssuer: with issuer the provider must name itself, before anybody is asked for a token.
func TestIssuer(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "issuer "+p.URL)
	const another = "Another provider sent you back"
	ann := b.browser("ann")
	missing := ann.consent(ann.begin("shared"), "ann")
	ann.come(missing).wantRefused(p, 400, another)
	p.Issuer.Store(true)
	for _, wrong := range []string{"https://evil.example", p.URL + "/", strings.ToUpper(p.URL), strings.Replace(p.URL, "127.0.0.1", "localhost", 1), p.URL + "\x00"} {
		p.SetIssuer(wrong)
		ann.come(ann.consent(ann.begin("shared"), "ann")).wantRefused(p, 400, another)
	}
	// An error without a name, or with another, is not believed either.
	ann.come(withParam(t, missing, "error", "access_denied")).wantRefused(p, 400, another)
	ann.wantUnconnected("shared")
	p.SetIssuer(p.URL)
	ann.connect("shared")
	ann.wantServed("shared")
	// Without the option it is ignored.
	p.SetIssuer("https://evil.example")
	b.more = ""
	g.load(t, b.site())
	ann.connect("shared")
}

// TestDoubleCallback sends the callback ten times at once, as a double click does. One code leads
// to one token request, and all ten answers say that it is done.
func TestDoubleCallback(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("shared"), "ann")
	p.Delay.Store(int64(300 * time.Millisecond))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []int
	for range 10 {
		wg.Go(func() {
			v, err := ann.try(http.MethodGet, callback, "")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, v.status)
		})
	}
	wg.Wait()
	slices.Sort(got)
	if len(slices.Compact(got)) != 1 || got[0] != 303 {
		t.Errorf("the answers are %v", got)
	}
	p.WantRequests(t, 1)
	if p.CodesReused() != 0 {
		t.Error("the code was redeemed twice")
	}
	ann.wantServed("shared")
}

// TestCallbackLeaves has the browser leave while the code is redeemed. The code is spent, so the
// account is connected nevertheless.
func TestCallbackLeaves(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, _ := startBed(t, p, "")
	ann := b.browser("ann")
	callback := ann.consent(ann.begin("shared"), "ann")
	p.Delay.Store(int64(400 * time.Millisecond))
	hasty := *ann.c
	hasty.Timeout = 100 * time.Millisecond
	leaving := *ann
	leaving.c = &hasty
	if v, err := leaving.try(http.MethodGet, callback, ""); err == nil {
		t.Fatalf("the callback is answered at once, with %d", v.status)
	}
	waitFor(t, "the connection", func() bool { return ann.call("shared").status == 200 })
	ann.come(callback).is(303) // it has no cookie that says done, but the gateway knows
	p.WantRequests(t, 1)
}

// TestDenied: the user, or the provider, says no. The words are ours, whatever the provider says.
func TestDenied(t *testing.T) {
	p := provider.New(t, time.Hour)
	b, g := startBed(t, p, "")
	ann := b.browser("ann")
	callback := p.Deny(t, ann.c, ann.begin("shared"))
	ann.come(callback).wantRefused(p, 400, "You declined")
	ann.come(callback).wantRefused(p, 400, notBegun) // the flow has ended
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "javascript:alert(1)", "a\r\nSet-Cookie: x=1", "</h1><h1>Enter your password", "{{.}}",
		"{env.CLIENT_SECRET}", "c4nary-of-the-description",
	} {
		flow := ann.begin("shared")
		back := b.redirect() + "?" + url.Values{
			"state": {param(t, flow, "state")}, "error": {text}, "error_description": {text}, "error_uri": {text},
		}.Encode()
		v := ann.come(back)
		v.wantRefused(p, 400, "The provider did not connect the account")
		if strings.Contains(v.body, text) || strings.Contains(v.body, url.QueryEscape(text)) || strings.Contains(v.body, "alert(1)") || strings.Contains(v.body, "password") ||
			strings.Contains(v.body, secret) || v.header.Get("Set-Cookie") == "x=1" || len(v.header["Set-Cookie"]) > 1 {
			t.Errorf("of %q the answer has\n%v\n%s", text, v.header, v.body)
		}
	}
	wantNotLogged(t, g.log, secret)
	if log, err := os.ReadFile(g.log); err != nil || !strings.Contains(string(log), `"error_description":"c4nary-of-the-description"`) {
		t.Errorf("the log does not have what the provider says, %v", err)
	}
	ann.connect("shared")
	ann.wantServed("shared")
}
