// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"fmt"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// watchEvents has the app told when its configuration has started, and when it ends. Caddy stops
// its apps one after the other, in no order, and the app http may take the whole grace period
// before this one is asked to stop; the event comes before all of them.
func (a *App) watchEvents(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("loading the events app: %w", err)
	}
	events := app.(*caddyevents.App)
	if a.announcer, err = newAnnouncer(ctx, events); err != nil {
		return err
	}
	return events.On("stopping", a)
}

// Handle implements caddyevents.Handler: from now on Caddy waits for requests as long as
// grace_period says, after shutdown_delay. Token requests that are under way get the same time,
// and not that time once more.
func (a *App) Handle(context.Context, caddy.Event) error {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil //nolint:nilerr // there is none
	}
	a.endsWith(app.(*caddyhttp.App))
	return nil
}

func (a *App) endsWith(app *caddyhttp.App) {
	if app.GracePeriod > 0 {
		by := time.Now().Add(time.Duration(app.ShutdownDelay + app.GracePeriod))
		a.endBy.Store(&by)
	}
}

// endPatience is how long what would be lost is waited for where there is no grace_period: Caddy
// waits for requests without end then.
const endPatience = 30 * time.Second

// mustEndBy returns by when everything must have ended. It is called when the configuration has
// ended, for one datasource after the other, and all of them have the same time.
func (a *App) mustEndBy() time.Time {
	by := time.Now().Add(endPatience)
	if !a.endBy.CompareAndSwap(nil, &by) {
		by = *a.endBy.Load()
	}
	return by
}

// Stop implements caddy.App.
func (*App) Stop() error { return nil }

// Cleanup implements caddy.CleanerUpper. The end of a configuration with a log sink has set the
// log package's output.
func (a *App) Cleanup() error {
	peer.GuardLog()
	return a.metering.release()
}
