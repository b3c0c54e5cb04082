// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/watch"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// sender is what sends for a transport: Caddy's transport http, and the rule by which it dials. It
// knows no datasource. net/http keeps its connections apart by scheme, host and forward proxy, so
// the datasources of a catalogue have one for each set of settings.
type sender struct {
	*reverseproxy.HTTPTransport

	trust   *trust.Trust   // nil: that of the system
	watched *watch.Subject // the file of self_signed_cert; nil: it is not watched
	guard   *dial.Guard

	// replaced is what sends in the place of the embedded transport since the certificates of
	// self_signed_cert have changed; nil as long as they have not.
	replaced atomic.Pointer[reverseproxy.HTTPTransport]
}

// newSender provisions what sends for a transport.
func newSender(ctx caddy.Context, app *App, t *Transport) (*sender, error) {
	certificate, tr, err := loadTrust(ctx, t)
	if err != nil {
		return nil, err
	}
	rule, err := dial.NewRule(ctx, cmp.Or(t.AdminAddress, app.admin), app.DenyPrivate, app.allowed)
	if err != nil {
		return nil, err
	}
	if t.onlyHTTP3() && t.TLS != nil && t.TLS.ServerName == "" {
		// What is dialled is an address, see Transport.roundTrip.
		t.TLS.ServerName = "{" + serverNameKey + "}"
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return nil, err
	}
	s := &sender{HTTPTransport: t.HTTPTransport, trust: tr, guard: rule.Guard(t.HTTPTransport)}
	s.Transport.DialContext = peer.Dial(s.Transport.DialContext)
	s.Transport.OnProxyConnectResponse = peer.ProxyAnswer
	s.watched = watchTrust(app.watcher, t, s, certificate)
	return s, present(tr, s.HTTPTransport)
}

// current returns the transport that sends.
func (s *sender) current() *reverseproxy.HTTPTransport {
	if replaced := s.replaced.Load(); replaced != nil {
		return replaced
	}
	return s.HTTPTransport
}

// end ends the connections that no request uses.
func (s *sender) end() error {
	if replaced := s.replaced.Load(); replaced != nil {
		replaced.Transport.CloseIdleConnections()
	}
	return s.HTTPTransport.Cleanup()
}

// senders are those that the datasources of a catalogue share, by their settings. A nil pointer
// has none, and makes one for each transport.
type senders struct{ by map[string]*sender }

// of returns the sender of a transport. The transport has all its settings, and none is
// provisioned.
func (all *senders) of(ctx caddy.Context, app *App, t *Transport) (*sender, error) {
	if all == nil {
		return newSender(ctx, app, t)
	}
	settings, err := json.Marshal([]any{t.HTTPTransport, t.SelfSignedCert, t.AdminAddress})
	if err != nil {
		return nil, fmt.Errorf("encoding the transport: %w", err)
	}
	if known := all.by[string(settings)]; known != nil {
		if known.watched != nil {
			known.watched.Datasources = append(known.watched.Datasources, t.Datasource)
		}
		return known, nil
	}
	s, err := newSender(ctx, app, t)
	if err != nil {
		return nil, err
	}
	all.by[string(settings)] = s
	return s, nil
}

// end ends all of them.
func (all *senders) end() error {
	var failed error
	for _, s := range all.by {
		failed = errors.Join(failed, s.end())
	}
	return failed
}
