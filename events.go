// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// What becomes of connections is told to the handlers of Caddy's events app. Caddy calls them one
// after the other, and they may take their time: the renewals do not wait for them.

// eventsWaiting is how many events wait for their handlers at most.
const eventsWaiting = 1024

// announcer hands the events of a configuration to their handlers.
type announcer struct {
	ctx    caddy.Context
	logger *zap.Logger
	events *caddyevents.App
	queue  chan connection.Event
}

// newAnnouncer returns an announcer that begins when the configuration has started: by then the
// events app knows all handlers.
func newAnnouncer(ctx caddy.Context, events *caddyevents.App) (*announcer, error) {
	a := &announcer{ctx, ctx.Logger(), events, make(chan connection.Event, eventsWaiting)}
	return a, events.On("started", a)
}

// Handle implements caddyevents.Handler.
func (a *announcer) Handle(context.Context, caddy.Event) error {
	go a.announce()
	return nil
}

// take takes an event of a connection. It does not wait.
func (a *announcer) take(e connection.Event) {
	select {
	case a.queue <- e:
	default:
		a.logger.Warn("an event was dropped, since its handlers are too slow",
			zap.String("event", eventName(e)), zap.String("datasource", e.Datasource))
	}
}

// announce hands events to their handlers until the configuration ends.
func (a *announcer) announce() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case e := <-a.queue:
			a.emit(e)
		}
	}
}

// emit has the handlers of an event called. Nothing above it would catch the panic of a handler,
// which would end Caddy.
func (a *announcer) emit(e connection.Event) {
	defer func() {
		if p := recover(); p != nil {
			a.logger.Error("the handler of an event has panicked", zap.String("event", eventName(e)), zap.String("with", fmt.Sprintf("%T", p)))
		}
	}()
	a.events.Emit(a.ctx, eventName(e), map[string]any{
		"datasource": e.Datasource, "connection": e.Connection, "reason": e.Reason,
	})
}

func eventName(e connection.Event) string { return "authenticated_api_" + e.Name }

// observer is what a datasource's connections tell of.
type observer struct {
	tokenMeter
	announcer *announcer
}

// Happened implements connection.Observer.
func (o observer) Happened(e connection.Event) { o.announcer.take(e) }

// Interface guards
var (
	_ caddyevents.Handler = (*announcer)(nil)
	_ connection.Observer = observer{}
)
