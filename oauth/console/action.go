// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// actionTimeout is how long a browser waits for a provider.
	actionTimeout = 20 * time.Second

	// maxForm is the largest body of a form. It has a ticket in it, or the way back.
	maxForm = 8 << 10
)

// action is what a button does with one connection, for a user who may do it.
type action struct {
	visit *visit
	ds    datasource
	key   string // the connection's, "" for the one that all callers share
}

// act does what a button asks for. A datasource that is not there and one that this user may not
// see get the same answer.
func (v *visit) act() error {
	ds := find(v.datasources, v.route.name)
	may, key := permissionNone, ""
	if ds != nil {
		may, key = v.permission(ds)
	}
	if may == permissionNone {
		ds = nil
	}
	switch {
	case v.route.action != actionConfirm && v.crossOrigin(ds):
		return v.refuse(&messageCrossOrigin)
	case ds == nil || !ds.Interactive() && v.route.action != actionRefresh:
		return v.refuse(&messageNotFound)
	case may == permissionNoKey:
		return v.refuse(&messageNoIdentity)
	case may == permissionLook:
		return v.refuse(&messageOperatorsOnly)
	}
	a := action{v, ds, key}
	v.about = ds
	switch v.route.action {
	case actionConfirm:
		return a.confirm()
	case actionConnect:
		return a.connect()
	case actionKey:
		return a.saveKey()
	case actionRefresh:
		return a.refresh()
	default:
		return a.disconnect()
	}
}

// form reads the body. It returns nil if there is nothing wrong with it.
func (v *visit) form() *message {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	err := v.r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &messageTooLarge
	}
	if err != nil {
		return &messageBadForm
	}
	return nil
}

func (a action) connect() error {
	v := a.visit
	if v.elsewhere(a.ds) {
		return v.refuse(messageElsewhere(a.ds))
	}
	if !v.comesBack(a.ds) {
		v.logger.Error("no authenticated_api_console is where redirect_url leads; put a console there, or correct redirect_url",
			zap.String("datasource", a.ds.Datasource()), zap.String("redirect_url", a.ds.Redirect()), zap.String("path", v.address.sent))
		return v.show(messageNowhere(a.ds))
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), actionTimeout)
	defer cancel()
	flow, to, err := a.ds.Begin(ctx, a.key, v.user)
	if err != nil {
		return a.cannotBegin(err)
	}
	flow.Return = wayBack(v.r.PostForm.Get("back"))
	return a.depart(flow, to)
}

func (a action) cannotBegin(err error) error {
	a.visit.logger.Error("an account cannot be connected", because(a.ds, err)...)
	if m := messageOfDiscovery(err); m != nil {
		return a.visit.show(a.visit.forOperators(m, err))
	}
	return a.visit.show(&messageCannotBegin)
}

// depart sends the browser to the provider, with a cookie for the way back.
func (a action) depart(flow *oauth.Flow, to string) error {
	v := a.visit
	ring, err := v.h.ring()
	if err != nil {
		return a.cannotBegin(err)
	}
	text, err := flow.Seal(ring)
	if err != nil {
		return a.cannotBegin(err)
	}
	v.cookies.makeRoom(ring, time.Now())
	v.cookies.set(a.ds, flow.ID(), text, oauth.FlowLifetime)
	v.logger.Info("connecting an account", zap.String("datasource", a.ds.Datasource()), zap.Bool("ticket", flow.Ticket))
	v.w.Header().Set("Referrer-Policy", "no-referrer") // the provider need not know a page of ours
	// Access logs have the Location, which has the state in it.
	caddyhttp.SetVar(v.r.Context(), caddyhttp.LogSkipVar, true)
	return v.seeOther(to)
}

func (a action) refresh() error {
	v := a.visit
	ctx, cancel := context.WithTimeout(v.r.Context(), actionTimeout)
	defer cancel()
	err := a.ds.Renew(ctx, a.key)
	if errors.Is(err, connection.ErrNotRenewable) { // an old page, which still has the button
		return v.refuse(&messageNotRenewable)
	}
	if err != nil {
		v.logger.Warn("refreshing a connection failed", because(a.ds, err)...)
		return v.showFailure(a.messageOf(kindOf(a.ds).notRefreshed, err), err)
	}
	v.logger.Info("refreshed a connection", zap.String("datasource", a.ds.Datasource()))
	return v.seeOther(card(v.route.home(), a.ds, didRefresh))
}

// messageOf is messageOf in the words of what the action is about.
func (a action) messageOf(title string, err error) *message {
	m := messageOf(title, err)
	if kindOf(a.ds) == &ownKeys && errors.Is(err, record.ErrKeyMissing) {
		m.Hint = "The operator of the gateway can add that key, or you can enter your key again."
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Login {
		m.Text, m.Whose = loginProblem(connection.Code(err), m.Text), logins.says
		if e.Rejected() {
			m.Status, m.Hint = http.StatusBadGateway, hintLog
		}
	}
	return m
}

func (a action) disconnect() error {
	v := a.visit
	// A browser that leaves must not leave a connection that is half gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), actionTimeout)
	defer cancel()
	err := a.ds.Disconnect(ctx, a.key)
	if _, kept := errors.AsType[*connection.RevocationError](err); kept {
		v.logger.Warn("disconnected, but the provider could not be told", zap.String("datasource", a.ds.Datasource()), zap.Error(err))
		return v.showFailure(&messageNotRevoked, err)
	}
	if err != nil {
		v.logger.Error("disconnecting failed", because(a.ds, err)...)
		return v.showFailure(a.messageOf(kindOf(a.ds).notRemoved, err), err)
	}
	if kindOf(a.ds) == &ownKeys {
		v.logger.Info("a user has removed a key", zap.String("datasource", a.ds.Datasource()))
		return v.seeOther(card(v.route.home(), a.ds, didDisconnect))
	}
	v.logger.Info("disconnected an account", zap.String("datasource", a.ds.Datasource()))
	return v.seeOther(card(v.route.home(), a.ds, didDisconnect))
}
