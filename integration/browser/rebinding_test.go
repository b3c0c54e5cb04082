// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// stranger is a name, with a port, whose owner points it first at a server of its own and then at
// the gateway. Chromium takes each name in .example for the loopback address; what listens there
// passes the bytes on.
type stranger struct {
	url string
	at  atomic.Pointer[string]
}

func newStranger(t *testing.T, page string) *stranger {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(server.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	s := &stranger{url: "http://rebind.example:" + port}
	s.point(server.Listener.Addr().String())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.pass(conn)
		}
	}()
	return s
}

// point has the name resolve to an address.
func (s *stranger) point(address string) { s.at.Store(&address) }

func (s *stranger) pass(conn net.Conn) {
	defer conn.Close()
	to, err := net.Dial("tcp", *s.at.Load()) //nolint:noctx // a test
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, conn)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, to)
}

// attempts are what a page can do to read or write at its own origin. Each returns its result as a
// text.
var attempts = map[string]string{
	"GET":            "fetch('/x').then(r => r.text())",
	"without traces": "fetch('/x', {referrerPolicy: 'no-referrer', credentials: 'omit', headers: {'User-Agent': 'curl/8', 'Accept-Language': '*', 'Accept': '*/*'}}).then(r => r.text())",
	"range":          "fetch('/x', {headers: {Range: 'bytes=0-99'}}).then(r => r.text())",
	"no-cors":        "fetch('/x', {mode: 'no-cors'}).then(r => r.text())",
	"POST":           "fetch('/x', {method: 'POST', body: 'x'}).then(r => r.text())",
	"DELETE":         "fetch('/x', {method: 'DELETE'}).then(r => r.text())",
	"XHR":            "new Promise(done => { const x = new XMLHttpRequest(); x.open('GET', '/x'); x.onloadend = () => done(x.responseText); x.send() })",
	"beacon":         "new Promise(done => { navigator.sendBeacon('/x', 'x'); setTimeout(() => done(''), 300) })",
	"EventSource":    "new Promise(done => { const e = new EventSource('/events'); e.onmessage = m => done(m.data); e.onerror = () => done('') })",
	"WebSocket":      "new Promise(done => { const w = new WebSocket('ws://' + location.host + '/ws'); w.onopen = () => done('secret'); w.onerror = () => done('') })",
	"frame":          "new Promise(done => { const f = document.createElement('iframe'); f.src = '/x'; f.onload = () => done(f.contentDocument?.body.innerText ?? ''); document.body.append(f) })",
	"script":         "new Promise(done => { const s = document.createElement('script'); s.src = '/x'; s.onload = s.onerror = () => done(''); document.body.append(s) })",
	"image":          "new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done(''); i.src = '/x' })",
	"video":          "new Promise(done => { const v = document.createElement('video'); v.onerror = () => done(''); v.src = '/x' })",
	"worker":         "new Promise(done => { const w = new Worker(URL.createObjectURL(new Blob([`fetch('${location.origin}/x').then(r => r.text()).then(postMessage)`]))); w.onmessage = m => done(m.data) })",
	"prefetch":       "new Promise(done => { const l = document.createElement('link'); l.rel = 'prefetch'; l.href = '/x'; document.head.append(l); setTimeout(() => done(''), 300) })",
}

// rebindingAPI is an API whose every answer has the word "secret" in it.
func rebindingAPI(t *testing.T) *rig.API {
	t.Helper()
	return rig.NewAPI(t, func(request string) string {
		switch {
		case strings.HasPrefix(request, "GET /v2/events"):
			return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: secret\n\n" + rig.HangUp
		case strings.HasPrefix(request, "GET /v2/ws"):
			return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		default:
			return rig.Response("200 OK", "Content-Type: text/plain\r\n", "secret")
		}
	})
}

// TestRebinding: a page that points its name at the gateway gets nothing from it, and nothing
// through it.
func TestRebinding(t *testing.T) {
	find(t)
	api := rebindingAPI(t)
	for name, site := range map[string]string{"any name": "http://:PORT", "localhost": "http://localhost:PORT"} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, site+" {\nauthenticated_api http://"+api.Addr+"/v2 {\nauth bearer t\n}\n}")
			s := newStranger(t, "<!DOCTYPE html><link rel=icon href=data:,><p>A page")
			b := newBrowser(t)
			b.open(t, s.url+"/")
			b.wantText(t, "A page")
			s.point(gateway)
			for what, attempt := range attempts {
				if got := eval[string](t, b, fmt.Sprintf("(%s).catch(e => '')", attempt)); strings.Contains(got, "secret") {
					t.Errorf("%s: the page got %q", what, got)
				}
			}
			b.open(t, s.url+"/x")
			if text := b.text(t); strings.Contains(text, "secret") {
				t.Errorf("the page that was gone to shows %q", text)
			}
			if requests := api.Requests(); len(requests) > 0 {
				t.Errorf("the API has got %q", requests)
			}

			// The twin: a page of the gateway's own, at a name that belongs to the gateway.
			_, port, _ := net.SplitHostPort(gateway)
			b.open(t, "http://localhost:"+port+"/x")
			b.wantText(t, "secret")
			for _, what := range []string{"GET", "without traces", "POST", "DELETE", "XHR", "EventSource"} {
				if got := eval[string](t, b, attempts[what]); got != "secret" {
					t.Errorf("%s at localhost: the page got %q", what, got)
				}
			}
			api.Requests()
		})
	}
}

// TestRebindingAllowed: names that the operator has chosen are served.
func TestRebindingAllowed(t *testing.T) {
	find(t)
	api := rebindingAPI(t)
	for name, site := range map[string]string{
		"address":      "http://gw.example:PORT {\nauthenticated_api http://" + api.Addr + "/v2\n}",
		"allow_origin": "http://:PORT {\nauthenticated_api http://" + api.Addr + "/v2 {\nallow_origin http://gw.example\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(rig.Start(t, site))
			b := newBrowser(t)
			b.open(t, "http://gw.example:"+port+"/x")
			b.wantText(t, "secret")
			if got := eval[string](t, b, attempts["GET"]); got != "secret" {
				t.Errorf("the page got %q", got)
			}
		})
	}
}
