// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestKilled kills a Caddy at different moments of a renewal, or tells it to end. The next Caddy
// always serves the first request.
func TestKilled(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for tokens to expire")
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := provider.New(t, 4*time.Second)
			a := newAPI(t, p)
			proc := newProcess(t, a, p)
			c := newClient(t)
			// Nothing is stored yet, and the answer is on its way: the request that waits is lost,
			// the next one is not.
			p.Delay.Store(int64(300 * time.Millisecond))
			proc.start(t)
			go func() { _, _, _ = get(c, "http://"+proc.Addr+"/x") }()
			waitFor(t, "a token request", func() bool { return p.Requests.Load() > 0 })
			proc.End(signal)
			proc.start(t)
			wantServed(t, c, proc.Addr)

			for round := range 4 {
				// In the margin a request starts a renewal in the background. It is killed
				// somewhere on the way: before the answer, with the answer, while it stores it, or
				// after that.
				before, answered := p.Requests.Load(), p.Answered.Load()
				waitFor(t, "a renewal", func() bool {
					wantServed(t, c, proc.Addr)
					return p.Requests.Load() > before
				})
				pause := time.Duration(round)*100*time.Millisecond + time.Duration(rand.IntN(20))*time.Millisecond
				if round == 3 {
					// As near as possible to the storing.
					waitFor(t, "the answer", func() bool { return p.Answered.Load() > answered })
					pause = time.Duration(rand.IntN(4)) * time.Millisecond
				}
				time.Sleep(pause)
				proc.End(signal)
				proc.start(t)
				wantServed(t, c, proc.Addr)
			}
			if a.refused.Load() > 0 {
				t.Errorf("the API has refused %d requests", a.refused.Load())
			}
			// Besides the record a kill may have left a file that was being written; nothing reads
			// it.
			wantNoSecret(t, proc.storage, secret)
			for _, damaged := range rig.Logged(t, proc.log, "damaged") {
				t.Errorf("a record is damaged: %v", damaged)
			}
		})
	}
}

// TestProviderAway has a provider that is away for most of a token's life. Caddy is restarted
// twice in between, once killed and once told to end, and the only trace is a line in the log.
// Then the token expires while the provider is away, and the answer says so, and when to try
// again.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for tokens to expire")
	const life = 12 * time.Second
	p := provider.New(t, life)
	a := newAPI(t, p)
	proc := newProcess(t, a, p)
	proc.start(t)
	c := newClient(t)
	wantServed(t, c, proc.Addr)
	begin := time.Now()
	at := func(share float64) { time.Sleep(time.Until(begin.Add(time.Duration(share * float64(life))))) }
	p.Stop()
	p.SetLife(2 * time.Second) // of the next one

	l := startLoad(t, proc.Addr, 4, 20*time.Millisecond)
	at(0.2)
	proc.End(syscall.SIGTERM)
	proc.start(t)
	// This is within the margin: the stored token is all that there is, and attempts to renew it
	// fail.
	at(0.82)
	proc.End(syscall.SIGKILL)
	proc.start(t)
	at(0.9)
	p.Start(t)
	waitFor(t, "the new token", func() bool { return p.Answered.Load() == 2 })
	l.finish(t)
	if a.refused.Load() > 0 {
		t.Errorf("the API has refused %d requests", a.refused.Load())
	}
	for _, e := range append(rig.Logged(t, proc.log, "none could be obtained"), rig.Logged(t, proc.log, "storing a new token failed")...) {
		t.Errorf("the log says %v", e)
	}
	if e := rig.WantLogged(t, proc.log, "the old one is still valid"); e["level"] != "warn" || e["datasource"] != "crm" || e["token_endpoint"] != p.Addr {
		t.Errorf("the log says %v", e)
	}

	p.Stop()
	time.Sleep(2300 * time.Millisecond) // now the token has expired
	res := rig.Get(t, proc.Addr, "/x", "")
	wantProblem(t, res, 503, "token-unavailable")
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 10 {
		t.Fatalf("Retry-After is %q", res.Header.Get("Retry-After"))
	}
	p.Start(t)
	time.Sleep(time.Duration(wait) * time.Second)
	wantServed(t, c, proc.Addr)
	proc.wantNoSecret(t, secret)
}

// TestProviderFails: a provider that answers 503 harms no valid token either.
func TestProviderFails(t *testing.T) {
	t.Parallel()
	p := provider.New(t, 4*time.Second)
	a := newAPI(t, p)
	proc := newProcess(t, a, p)
	proc.start(t)
	wantServed(t, newClient(t), proc.Addr)
	p.Status.Store(503)
	l := startLoad(t, proc.Addr, 4, 20*time.Millisecond)
	waitFor(t, "a renewal", func() bool { return p.Requests.Load() == 2 })
	time.Sleep(200 * time.Millisecond)
	l.finish(t)
	if e := rig.WantLogged(t, proc.log, "the old one is still valid"); e["status"] != 503.0 {
		t.Errorf("the log says %v", e)
	}
	time.Sleep(1200 * time.Millisecond)
	res := rig.Get(t, proc.Addr, "/x", "")
	wantProblem(t, res, 503, "token-unavailable")
	if res.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	text, err := os.ReadFile(proc.log)
	if err != nil || strings.Contains(string(text), "come again") {
		t.Errorf("the provider's own words are in the log, %v", err)
	}
}

// TestAlwaysRefused checks that a path which always answers 401 makes the gateway ask for a token
// once in ten seconds, not with each request, and that other users are not harmed.
func TestAlwaysRefused(t *testing.T) {
	t.Parallel()
	rig.Long(t, "it waits for tokens to expire")
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	proc := newProcess(t, a, p)
	proc.start(t)
	c := newClient(t)
	wantServed(t, c, proc.Addr)
	l := startLoad(t, proc.Addr, 2, 20*time.Millisecond)
	n := 0
	begin := time.Now()
	for ; time.Since(begin) < 12*time.Second; n++ {
		if status, body, err := get(c, fmt.Sprintf("http://%s/refuse", proc.Addr)); err != nil || status != 401 || body != "refused\n" {
			t.Fatalf("the client got %d %q, %v", status, body, err)
		}
	}
	l.finish(t)
	got := p.Requests.Load() - 1
	t.Logf("%d refused requests in 12 s cost %d token requests", n, got)
	if got < 1 || got > 2 {
		t.Errorf("%d refused requests cost %d token requests", n, got)
	}
}

// TestWrongSecret: the answer names the error, and the log what to do.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	p := provider.New(t, time.Hour)
	p.Register("gateway", "not what is configured")
	a := newAPI(t, p)
	proc := newProcess(t, a, p)
	proc.start(t)
	problem := wantProblem(t, rig.Get(t, proc.Addr, "/x", ""), 502, "token-rejected")
	if problem["oauth_error"] != "invalid_client" || problem["datasource"] != "crm" {
		t.Errorf("the problem is %v", problem)
	}
	e := rig.WantLogged(t, proc.log, "none could be obtained")
	remedy := fmt.Sprint(e["remedy"])
	if e["level"] != "error" || e["datasource"] != "crm" || e["token_endpoint"] != p.Addr || e["status"] != 401.0 || e["oauth_error"] != "invalid_client" ||
		!strings.Contains(remedy, "client_secret") || !strings.Contains(remedy, "client_secret_post") {
		t.Errorf("the log says %v", e)
	}
	proc.wantNoSecret(t, secret)

	// Now the provider accepts the secret. The next attempt is served, without a restart.
	p.Register("gateway", secret)
	waitFor(t, "the next attempt", func() bool {
		status, _, err := get(newClient(t), "http://"+proc.Addr+"/x")
		return err == nil && status == 200
	})
}
