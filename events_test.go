// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() { caddy.RegisterModule(eventHandler{}) }

// eventHandler is the handler of events that the tests configure. It hands each event on, with
// what its placeholders say, and waits until somebody takes it.
type eventHandler struct{}

var heard = make(chan string)

// CaddyModule returns the Caddy module information.
func (eventHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test", New: func() caddy.Module { return new(eventHandler) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (eventHandler) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// Handle implements caddyevents.Handler.
func (eventHandler) Handle(ctx context.Context, e caddy.Event) error {
	repl := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	said := repl.ReplaceKnown("{event.name} {event.data.datasource} {event.data.connection} {event.data.reason}", "")
	if keys := slices.Sorted(maps.Keys(e.Data)); !slices.Equal(keys, []string{"connection", "datasource", "reason"}) ||
		strings.Contains(fmt.Sprintf("%+v", e), metricsCanary) {
		said = fmt.Sprintf("%+v", e)
	}
	select {
	case heard <- said:
	case <-ctx.Done():
	}
	return nil
}

// wantEvent waits for the next event.
func wantEvent(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Errorf("the event is %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Errorf("there is no event, want %q", want)
	}
}

// allEvents has the handler of the tests called for each event that docs/operations.md names.
func allEvents(t *testing.T) string {
	t.Helper()
	names := slices.Sorted(maps.Keys(words(tables(section(t, "docs/operations.md", "Events")))))
	if len(names) != 5 {
		t.Errorf("docs/operations.md has the events %q", names)
	}
	return "events {\non " + strings.Join(names, " test\non ") + " test\n}"
}

// TestEvents: a handler of Caddy's events app hears what becomes of connections, and nobody waits
// for it.
func TestEvents(t *testing.T) {
	r := newMetricsRig(t)
	api := rig.NewAPI(t, nil)
	log := filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, r.caddyfile(t, allEvents(t)+"\nlog {\noutput file "+filepath.ToSlash(log)+"\nlevel DEBUG\n}",
		r.machine("robot", api.Addr, "/token"), r.machine("down", api.Addr, "/down"), r.machine("rejected", api.Addr, "/rejected"),
		r.person("crm", api.Addr, ""), r.person("users", api.Addr, "connection {http.request.header.X-User} trusted\n")))

	// Nobody takes an event yet, and all are served.
	wantOK(t, rig.Get(t, gateway, "/robot/x", ""))
	connectAccount(t, "users", "ann")
	connectAccount(t, "crm", "")
	wantOK(t, rig.Get(t, gateway, "/crm/x", ""))
	wantEvent(t, "authenticated_api_token_refreshed robot  ")
	wantEvent(t, "authenticated_api_connected users ann ")
	wantEvent(t, "authenticated_api_connected crm  ")

	rig.Get(t, gateway, "/down/x", "")
	wantEvent(t, "authenticated_api_token_refresh_failed down  status_500")
	rig.Get(t, gateway, "/rejected/x", "")
	wantEvent(t, "authenticated_api_token_refresh_failed rejected  invalid_client")

	crm := methodOf(t, "crm").Source("")
	if err := crm.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, "authenticated_api_token_refreshed crm  ")
	if err := crm.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, "authenticated_api_disconnected crm  ")
	rig.Get(t, gateway, "/crm/x", "") // that nobody has connected an account is no event
	if err := methodOf(t, "robot").Source("").Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, "authenticated_api_token_refreshed robot  ")
	if text := read(t, log); strings.Contains(text, metricsCanary+"-") {
		t.Errorf("a secret is in the log: %s", text)
	}
}

// TestEventReauthorization: that an account must be connected again is told once, and again when
// it happens again.
func TestEventReauthorization(t *testing.T) {
	r := newMetricsRig(t)
	short := rig.Response("200 OK", "Content-Type: application/json\r\n",
		`{"access_token":"`+metricsCanary+`-a","token_type":"bearer","expires_in":1}`)
	r.fails.Store(&short)
	gateway := rig.Start(t, r.caddyfile(t, allEvents(t), r.person("crm", rig.NewAPI(t, nil).Addr, "")))
	for range 2 {
		connectAccount(t, "crm", "")
		wantEvent(t, "authenticated_api_connected crm  ")
		waitFor(t, "the end of a token that nothing renews", func() bool {
			return rig.Get(t, gateway, "/crm/x", "").StatusCode == 503
		})
		wantEvent(t, "authenticated_api_reauthorization_required crm  expired")
		rig.Get(t, gateway, "/crm/x", "")
	}
	wantLines(t, slices.DeleteFunc(r.scrape(t), func(line string) bool { return !strings.HasPrefix(line, "connections{") }),
		"crm", slices.DeleteFunc(requestedTokens("", nil, stated("reauthorization_required")),
			func(line string) bool { return !strings.HasPrefix(line, "connections{") })...)
}

// TestEventReload: events go on after a reload, to the handlers of the new configuration.
func TestEventReload(t *testing.T) {
	r := newMetricsRig(t)
	site := r.machine("robot", rig.NewAPI(t, nil).Addr, "/token")
	gateway := rig.Start(t, r.caddyfile(t, "", site))
	wantOK(t, rig.Get(t, gateway, "/robot/x", "")) // nobody hears that
	if err := rig.Load(strings.ReplaceAll(r.caddyfile(t, allEvents(t), site), "GATEWAY", gateway)); err != nil {
		t.Fatal(err)
	}
	if err := methodOf(t, "robot").Source("").Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, "authenticated_api_token_refreshed robot  ")
}

// Interface guards
var (
	_ caddyevents.Handler   = eventHandler{}
	_ caddyfile.Unmarshaler = eventHandler{}
)
