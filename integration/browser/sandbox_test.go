// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// hostile is the script of an API's document, which attacks the console. It leaves its result in
// window.result.
const hostile = `(async () => {
	const got = {}
	const attempt = async (name, f) => { try { got[name] = String(await f()) } catch (e) { got[name] = '' } }
	await attempt('read another API', () => fetch('/orders/x', {credentials: 'include'}).then(r => r.text()))
	await attempt('read the console', () => fetch('/connect/', {credentials: 'include'}).then(r => r.text()))
	await attempt('frame another API', () => new Promise(done => {
		const f = document.createElementNS('http://www.w3.org/1999/xhtml', 'iframe')
		f.onload = () => { try { done(f.contentDocument.documentElement.textContent) } catch (e) { done('') } }
		f.src = '/orders/x'
		document.documentElement.append(f)
	}))
	for (const url of ['about:blank', '', URL.createObjectURL(new Blob(['<p>'], {type: 'text/html'}))])
		await attempt('popup, ' + url.slice(0, 5), async () => {
			const w = window.open(url)
			if (!w) throw 'blocked'
			await new Promise(done => setTimeout(done, 300))
			return w.origin != 'null' ? w.fetch(location.origin + '/orders/x').then(r => r.text()) : ''
		})
	await attempt('cookie', () => { document.cookie = 'planted=1; path=/'; return document.cookie })
	await attempt('storage', () => { localStorage.planted = 1; return 'planted' })
	await attempt('service worker', () => navigator.serviceWorker.register('/evil/sw.js').then(() => 'registered'))
	await attempt('shared worker', () => new Promise((done, refused) => {
		const w = new SharedWorker('/evil/worker.js')
		w.onerror = refused
		w.port.onmessage = m => done(m.data)
	}))
	for (const mode of ['cors', 'no-cors', 'same-origin'])
		await attempt('press, ' + mode, () => fetch('/connect/orders/disconnect', {method: 'POST', mode, credentials: 'include'}).then(r => r.ok ? 'pressed' : ''))
	await attempt('press, XHR', () => new Promise(done => {
		const x = new XMLHttpRequest()
		x.open('POST', '/connect/orders/disconnect')
		x.withCredentials = true
		x.onloadend = () => done(x.status == 200 ? 'pressed' : '')
		x.send()
	}))
	await attempt('press, beacon', () => { navigator.sendBeacon('/connect/orders/disconnect', ''); return '' })
	const form = document.createElementNS('http://www.w3.org/1999/xhtml', 'form')
	form.method = 'post'
	form.action = '/connect/orders/disconnect'
	document.documentElement.append(form)
	window.result = JSON.stringify(got)
	window.submit = () => form.submit()
})()`

// hostileDocuments are documents with that script, as an API can send them: a name, the header
// fields, and the body.
var hostileDocuments = []struct{ name, header, body string }{
	{"HTML", "Content-Type: text/html\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
	{"HTML with a policy of its own", "Content-Type: text/html\r\nContent-Security-Policy: sandbox allow-same-origin allow-scripts allow-forms\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
	{"no type", "", "<!DOCTYPE html><html><p>evil<script>" + hostile + "</script></html>"},
	{"no legal type", "Content-Type: html\r\n", "<!DOCTYPE html><html><p>evil<script>" + hostile + "</script></html>"},
	{"two types", "Content-Type: application/json\r\nContent-Type: text/html\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
	{"a type with a comment", "Content-Type: text/html(x)\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
	{"SVG", "Content-Type: image/svg+xml\r\n", "<svg xmlns='http://www.w3.org/2000/svg'><text y='20'>evil</text><script><![CDATA[" + hostile + "]]></script></svg>"},
	{"XML", "Content-Type: application/xml\r\n", "<x xmlns:h='http://www.w3.org/1999/xhtml'>evil<h:script><![CDATA[" + hostile + "]]></h:script></x>"},
	{"XHTML in text/xml", "Content-Type: text/xml; charset=utf-8\r\n", "<x xmlns:h='http://www.w3.org/1999/xhtml'>evil<h:script><![CDATA[" + hostile + "]]></h:script></x>"},
	{"an error", "Content-Type: text/html\r\nX-Status: 404\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
	{"kept, with another policy", "Content-Type: text/html\r\nETag: \"1\"\r\nCache-Control: no-cache\r\n", "<!DOCTYPE html><p>evil<script>" + hostile + "</script>"},
}

// newHostile returns a gateway with a datasource "evil" beside the console and others, whose
// answer is what answer has.
func newHostile(t *testing.T, option string) (*gateway, *atomic.Pointer[string]) {
	t.Helper()
	answer := new(atomic.Pointer[string])
	api := rig.NewAPI(t, func(request string) string {
		switch {
		case strings.HasPrefix(request, "GET /sw.js"), strings.HasPrefix(request, "GET /worker.js"):
			return rig.Response("200 OK", "Content-Type: text/javascript\r\n", "self.onconnect = e => e.ports[0].postMessage('runs')")
		case strings.Contains(request, "If-None-Match"):
			return "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nCache-Control: no-cache\r\nContent-Type: application/json\r\nContent-Security-Policy: default-src * 'unsafe-inline'\r\n\r\n"
		default:
			return *answer.Load()
		}
	})
	g := newGateway(t, time.Minute, func(g *gateway) {
		g.more = "handle_path /evil/* {\n" + gatewayUsers + "authenticated_api http://" + api.Addr + " {\nname evil\nauth bearer t\n" + option + "\n}\n}\n"
	})
	return g, answer
}

// TestHostileDocument checks that a document of an API, opened by an operator, can use neither the
// console nor another API, in whatever form it comes.
func TestHostileDocument(t *testing.T) {
	g, answer := newHostile(t, "")
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	for _, document := range hostileDocuments {
		t.Run(document.name, func(t *testing.T) {
			got, form := g.look(t, answer, document.header, document.body)
			if form != http.StatusForbidden {
				t.Errorf("the form is answered with %d", form)
			}
			for what, text := range got {
				if text != "" {
					t.Errorf("%s: %q", what, text)
				}
			}
			g.wantServed(t, "bob", shared, "eve")
		})
	}
	b.open(t, g.console)
	b.wantState(t, shared, "Connected")
}

// TestHostileDocumentAllowed is the twin: with sandbox off the same script does all of that. So
// the test above would notice a success.
func TestHostileDocumentAllowed(t *testing.T) {
	g, answer := newHostile(t, "sandbox off")
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	g.connect(t, b, shared, "eve")
	got, form := g.look(t, answer, hostileDocuments[0].header, hostileDocuments[0].body)
	if form == http.StatusForbidden {
		t.Error("the form is refused")
	}
	for what, text := range got {
		if text == "" && what != "press, beacon" {
			t.Errorf("%s: nothing", what)
		}
	}
	b.open(t, g.console)
	b.wantState(t, shared, "Not connected")
}

// look opens a document in a browser of its own, in which ann is signed in. It returns what the
// document's script has got, and the status of the page to which its form leads.
func (g *gateway) look(t *testing.T, answer *atomic.Pointer[string], header, body string) (got map[string]string, form int) {
	t.Helper()
	status := "200 OK"
	if strings.Contains(header, "X-Status: 404") {
		status = "404 Not Found"
	}
	text := rig.Response(status, header, body)
	answer.Store(&text)
	b := newBrowser(t)
	b.open(t, strings.Replace(g.url, "://", "://ann:ann@", 1)+"/signin")
	b.wantText(t, "signed in")
	for range 2 { // the second time the browser may have kept it
		b.open(t, g.url+"/evil/document")
	}
	for begin := time.Now(); got == nil && time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		if text, err := try[string](b, "window.result ?? ''"); err == nil && text != "" {
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got == nil {
		t.Fatalf("the document's script has not run; the page shows %q", b.text(t))
	}
	return got, b.navigateBy(t, "window.submit()")
}

// navigateBy returns the status of the page to which a script leads.
func (b *tab) navigateBy(t *testing.T, script string) int {
	t.Helper()
	eval[any](t, b, script+"; null")
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		const arrived = "location.pathname.includes('/connect/') ? performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0 : 0"
		if status, err := try[int](b, arrived); err == nil && status != 0 {
			return status
		}
	}
	t.Fatalf("%s leads nowhere", script)
	return 0
}
