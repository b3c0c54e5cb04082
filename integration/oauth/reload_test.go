// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestReloadWhileFetching checks that a token request which is under way survives a reload.
// Requests that wait for it are served, and so are requests to the new configuration, all with the
// one token.
func TestReloadWhileFetching(t *testing.T) {
	p := provider.New(t, time.Hour)
	p.Delay.Store(int64(700 * time.Millisecond))
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	var wg sync.WaitGroup
	serve := func() {
		wg.Go(func() {
			if status, body, err := get(c, "http://"+g.addr+"/x"); err != nil || status != 200 {
				t.Errorf("the client got %d %q, %v", status, body, err)
			}
		})
	}
	serve()
	waitFor(t, "the token request", func() bool { return p.Requests.Load() == 1 })
	g.load(t, site)
	serve()
	wg.Wait()
	p.WantRequests(t, 1)
}

// TestFailedReload checks that a configuration which does not load takes nothing away from the
// running one.
func TestFailedReload(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	for range 3 {
		broken := site + "\nhandle /other {\n" + strings.ReplaceAll(directive(a.URL, p, "scopes other"), "{env.CLIENT_SECRET}", "{env.NOT_SET_AT_ALL}") + "\n}"
		if err := rig.Load(g.config(strings.Replace(broken, "name crm", "name crm2", 1))); err == nil {
			t.Fatal("a configuration without a secret was loaded")
		}
		wantServed(t, c, g.addr)
	}
	p.RevokeAccess()
	wantServed(t, c, g.addr)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
}

// TestCallerLeaves has the caller leave whose request made the gateway ask for a token. The other
// callers that wait for it are served.
func TestCallerLeaves(t *testing.T) {
	p := provider.New(t, time.Hour)
	p.Delay.Store(int64(500 * time.Millisecond))
	a := newAPI(t, p)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, ""))
	c := newClient(t)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.addr+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		res, err := c.Do(req)
		if err == nil {
			res.Body.Close()
		}
		gone <- err
	}()
	waitFor(t, "the token request", func() bool { return p.Requests.Load() == 1 })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, body, err := get(c, "http://"+g.addr+"/x"); err != nil || status != 200 {
				t.Errorf("a client got %d %q, %v", status, body, err)
			}
		})
	}
	leave()
	if err := <-gone; err == nil {
		t.Error("the first caller has not left")
	}
	wg.Wait()
	p.WantRequests(t, 1)
}

// TestOwnProxy: with a proxy of the user's own a revoked token is renewed and the request sent
// again if that proxy has our transport. Without it the refusal passes.
func TestOwnProxy(t *testing.T) {
	for _, test := range []struct {
		name, transport string
		replayed        bool
	}{
		{"our transport", "transport authenticated_api", true},
		{"another transport", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := provider.New(t, time.Hour)
			a := newAPI(t, p)
			g := newGateway(t)
			g.load(t, fmt.Sprintf("authenticated_api {\nname crm\n%s\n}\nreverse_proxy %s {\n%s\n}", method(p, ""), a.Listener.Addr(), test.transport))
			c := newClient(t)
			wantServed(t, c, g.addr)
			p.RevokeAccess()
			status, _, err := get(c, "http://"+g.addr+"/x")
			if err != nil || (status == 200) != test.replayed || !test.replayed && status != 401 {
				t.Errorf("the client got %d, %v", status, err)
			}
			// The token is renewed nevertheless, so that the next request is served.
			for deadline := time.Now().Add(10 * time.Second); status != 200; {
				if status, _, err = get(c, "http://"+g.addr+"/x"); err != nil || time.Now().After(deadline) {
					t.Fatalf("afterwards the client got %d, %v", status, err)
				}
			}
		})
	}
}

// TestHealthCheck: active health checks carry the token that is there, and never fetch one.
func TestHealthCheck(t *testing.T) {
	p := provider.New(t, time.Hour)
	var mu sync.Mutex
	var checks []string
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			mu.Lock()
			checks = append(checks, r.Header.Get("Authorization"))
			mu.Unlock()
			return
		}
		fmt.Fprint(w, "served 0")
	}))
	t.Cleanup(a.Close)
	last := func() (n int, field string) {
		mu.Lock()
		defer mu.Unlock()
		if n = len(checks); n > 0 {
			field = checks[n-1]
		}
		return n, field
	}
	g := newGateway(t)
	g.load(t, strings.TrimSuffix(directive(a.URL, p, ""), "}")+"health_uri /health\nhealth_interval 50ms\n}")
	waitFor(t, "checks", func() bool { n, _ := last(); return n >= 3 })
	if _, field := last(); field != "" {
		t.Errorf("a check carried %q", field)
	}
	p.WantRequests(t, 0)
	wantServed(t, newClient(t), g.addr)
	n, _ := last()
	waitFor(t, "more checks", func() bool { now, _ := last(); return now >= n+3 })
	if _, field := last(); !accepts(p, strings.TrimPrefix(field, "Bearer ")) {
		t.Errorf("a check carried %q", field)
	}
	p.WantRequests(t, 1)
}

// TestMadeKey: without a key in the configuration one is made when the first token is stored, and
// not before; only its owner can read it, and the log says where it is.
func TestMadeKey(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", tempDir(t))
	file := os.Getenv("XDG_CONFIG_HOME") + "/caddy/authenticated_api.key"
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	if _, err := os.Stat(file); err == nil {
		t.Error("a key was made by loading the configuration")
	}
	c := newClient(t)
	wantServed(t, c, g.addr)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	if e := rig.WantLogged(t, g.log, "made a key"); e["file"] != file || e["level"] != "warn" {
		t.Errorf("the log says %v", e)
	}
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantNoSecret(t, g.log, strings.TrimSpace(string(key)))
	wantNoSecret(t, g.storage, strings.TrimSpace(string(key)))
	g.restart(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 1)
}

// TestProviderSilent: a provider that takes the request and says nothing costs a caller the
// timeout, and no more callers after that.
func TestProviderSilent(t *testing.T) {
	p := provider.New(t, time.Hour)
	p.Delay.Store(int64(time.Minute))
	a := newAPI(t, p)
	g := newGateway(t)
	g.load(t, directive(a.URL, p, "timeout 300ms"))
	for i, most := range []time.Duration{1500 * time.Millisecond, 250 * time.Millisecond} {
		begin := time.Now()
		res := rig.Get(t, g.addr, "/x", "")
		if took := time.Since(begin); took > most {
			t.Errorf("request %d took %v", i, took)
		}
		wantProblem(t, res, 503, "token-unavailable")
		if res.Header.Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
	}
	if e := rig.WantLogged(t, g.log, "none could be obtained"); e["cause"] != "no answer in time" {
		t.Errorf("the log says %v", e)
	}
	p.WantRequests(t, 1)
}
