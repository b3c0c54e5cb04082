// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestHealth: whoever asks is told whether all is well, and nothing else.
func TestHealth(t *testing.T) {
	good, unused := &connection.Status{State: connection.StateConnected, Stored: new(true)}, &connection.Status{State: connection.StateNone}
	for name, test := range map[string]struct {
		status *connection.Status
		want   int
	}{
		"connected":      {good, 200},
		"not used yet":   {unused, 200},
		"not stored yet": {&connection.Status{State: connection.StateConnected, Stored: new(false)}, 503},
		"failing":        {&connection.Status{State: connection.StateFailing}, 503},
		"needs somebody": {&connection.Status{State: connection.StateConnected, NeedsAction: true}, 503},
		"again":          {&connection.Status{State: connection.StateReauthorize, NeedsAction: true}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := &fake{name: "first", status: good}, &fake{name: "second", status: test.status}
			g := newBed(t, first, second)
			for _, user := range []string{"", "ann"} {
				for _, method := range []string{"GET", "HEAD"} {
					a := g.do(ask{user: user, method: method, path: "/connect/health"})
					if a.Code != test.want || a.Body.Len() != 0 || a.Header().Get("Cache-Control") != "no-store" {
						t.Errorf("%s by %q: %d %q %v, want %d", method, user, a.Code, a.Body, a.Header(), test.want)
					}
				}
			}
		})
	}
	g := newBed(t, &fake{name: "health", status: good})
	if a := g.do(ask{user: "ann", method: "POST", path: "/connect/health"}); a.Code != 405 || a.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", a.Code)
	}
	if a := g.do(ask{method: "POST", path: "/connect/health"}); a.Code != 403 {
		t.Errorf("POST by nobody: %d", a.Code)
	}
	if a := g.do(ask{user: "ann", method: "POST", path: "/connect/health/refresh"}); a.Code != http.StatusSeeOther {
		t.Errorf("a datasource that is called health: %d", a.Code)
	}
}

// TestHealthOfSite: each site hears of its own datasources, and an unreadable one counts.
func TestHealthOfSite(t *testing.T) {
	good := &connection.Status{State: connection.StateConnected}
	g := newBed(t, &fake{name: "here", status: good}, &fake{name: "there", base: "https://other.example/connect/", readErr: http.ErrAbortHandler})
	for host, want := range map[string]int{"gw.example": 200, "other.example": 503, "127.0.0.1": 503} {
		if a := g.do(ask{path: "/connect/health", host: host}); a.Code != want {
			t.Errorf("%s: %d, want %d", host, a.Code, want)
		}
	}
}

// TestHealthShared: a request takes the answer of a look that has begun since it came, and none
// that is older.
func TestHealthShared(t *testing.T) {
	ds := &fake{name: "crm", status: &connection.Status{State: connection.StateConnected}}
	g := newBed(t, ds)
	s := g.health.of(g.datasources())
	s.began = time.Now().Add(time.Hour)
	if s.ask(t.Context(), g.datasources()) || ds.take() != "" {
		t.Error("it has looked again")
	}
	s.began = time.Now().Add(-time.Second)
	if !s.ask(t.Context(), g.datasources()) || ds.take() != `status ""` {
		t.Error("it has not looked again")
	}
}
