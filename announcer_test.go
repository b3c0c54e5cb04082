// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// handlerFunc is a handler of events.
type handlerFunc func(caddy.Event) error

// Handle implements caddyevents.Handler.
func (f handlerFunc) Handle(_ context.Context, e caddy.Event) error { return f(e) }

// TestAnnouncer: a handler that never returns holds up nobody who has an event to tell, what no
// queue can take is logged, and a handler that panics or fails does not keep the next event away.
func TestAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		events := new(caddyevents.App)
		if err := events.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		a, err := newAnnouncer(ctx, events)
		if err != nil {
			t.Fatal(err)
		}
		logger, logged := oauthtest.NewLogger()
		a.logger = logger
		var heard int
		if err := events.On("authenticated_api_connected", handlerFunc(func(e caddy.Event) error {
			switch heard++; heard {
			case 1:
				panic(e)
			case 2:
				return errors.New("it fails")
			case 3:
				time.Sleep(time.Hour)
			}
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		e := connection.Event{Name: connection.EventConnected, Datasource: "crm"}
		for range eventsWaiting {
			a.take(e) // the configuration has not started yet
		}
		if heard != 0 || logged.Len() != 0 {
			t.Fatalf("%d events were heard before the start, and the log has %v", heard, logged.All())
		}
		if err := a.Handle(ctx, caddy.Event{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begin := time.Now()
		for range 4 {
			a.take(e) // three are out of the queue
		}
		if time.Since(begin) != 0 {
			t.Errorf("telling of events has taken %s", time.Since(begin))
		}
		for message, level := range map[string]zapcore.Level{
			"the handler of an event has panicked": zapcore.ErrorLevel, "an event was dropped, since its handlers are too slow": zapcore.WarnLevel,
		} {
			if lines := logged.FilterMessage(message).FilterLevelExact(level); lines.Len() != 1 {
				t.Errorf("the log has %q %d times, want it once", message, lines.Len())
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if heard != eventsWaiting+3 {
			t.Errorf("%d events were heard, want %d", heard, eventsWaiting+3)
		}
		cancel()
		synctest.Wait() // the announcer ends with its configuration
	})
}
