// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestManyExpiries: tokens expire again and again under load, the provider takes most of a second
// for each, and nobody notices. OAUTH_LOAD=60s is the full form.
func TestManyExpiries(t *testing.T) {
	rig.Long(t, "it waits for tokens to expire")
	const life, delay = 5 * time.Second, 700 * time.Millisecond
	length := 15 * time.Second
	if text := os.Getenv("OAUTH_LOAD"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	p := provider.New(t, life)
	a := newAPI(t, p)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	wantServed(t, newClient(t), g.addr) // the first one has to wait, of course
	p.Delay.Store(int64(delay))

	l := startLoad(t, g.addr, 16, 15*time.Millisecond)
	time.Sleep(length)
	// Who comes when a token has expired waits for the whole delay, or for what is left of it. A
	// busy machine lets requests wait too.
	if slowest := l.finish(t); slowest >= delay/2+2*l.stalled {
		t.Errorf("a request took %v: it has waited for a token", slowest)
	}
	// The API checks every token's expiry: it has seen no token that was too old.
	if got := a.refused.Load(); got > 0 {
		t.Errorf("the API has refused %d requests", got)
	}
	got := p.Requests.Load()
	t.Logf("%d token requests in %v", got, length)
	// A token is renewed after 78 to 80 % of its life, and that takes the delay.
	if least, most := int64(length/life), 2+int64(length/(life*3/4)); got < least || got > most {
		t.Errorf("%d token requests in %v, want %d to %d", got, length, least, most)
	}
}

// TestReloads checks that 50 reloads under load, some of them during a renewal, cost nothing: no
// failure, no token request, no goroutine, no waiting.
func TestReloads(t *testing.T) {
	rig.Long(t, "it reloads fifty times")
	const life, delay = 4 * time.Second, 300 * time.Millisecond
	p := provider.New(t, life)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	g.load(t, site)
	wantServed(t, c, g.addr)
	c.CloseIdleConnections()
	before := settled()
	begin := time.Now()
	p.Requests.Store(0)
	p.Delay.Store(int64(delay))

	l := startLoad(t, g.addr, 8, 10*time.Millisecond)
	for range 50 {
		time.Sleep(150 * time.Millisecond)
		g.load(t, site)
	}
	l.finish(t)
	elapsed := time.Since(begin)
	got := p.Requests.Load()
	t.Logf("%d token requests in %v", got, elapsed)
	if most := 1 + int64(elapsed/(life*3/4)); got > most {
		t.Errorf("%d token requests in %v, want %d at most", got, elapsed, most)
	}
	if got := a.refused.Load(); got > 0 {
		t.Errorf("the API has refused %d requests", got)
	}
	c.CloseIdleConnections()
	// What was under way during a reload leaves Caddy's connection to the API idle for two
	// minutes.
	a.CloseClientConnections()
	// A reload leaves as many as there were, except for a connection or two that are being closed.
	if after := settled(); after > before+4 {
		var sb strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&sb, 1)
		t.Errorf("there were %d goroutines, and now there are %d:\n%s", before, after, sb.String())
	}
}

// settled returns the number of goroutines when it does not fall any more.
func settled() int {
	least := runtime.NumGoroutine()
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		least = min(least, runtime.NumGoroutine())
	}
	return least
}

// TestRestart: a token survives a restart, and a reload, without a token request; in its margin
// too nobody waits for its successor after a restart.
func TestRestart(t *testing.T) {
	p := provider.New(t, 5*time.Second)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	begin := time.Now()
	for range 3 {
		g.restart(t, site)
		wantServed(t, c, g.addr)
		g.load(t, site)
		wantServed(t, c, g.addr)
	}
	p.WantRequests(t, 1)

	time.Sleep(time.Until(begin.Add(4200 * time.Millisecond)))
	p.Delay.Store(int64(10 * time.Second)) // as a provider that has gone away without a word
	g.restart(t, site)
	restarted := time.Now()
	wantServed(t, c, g.addr)
	wantServed(t, c, g.addr)
	if took := time.Since(restarted); took > 400*time.Millisecond {
		t.Errorf("with a valid token a request has waited for its successor: %v", took)
	}
	p.Stop()
}
