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
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// actionTimeout is how long somebody waits for a provider.
	actionTimeout = 20 * time.Second

	// maxForm is how large a form can be. The only field that a form has is a ticket.
	maxForm = 8 << 10
)

// act does what a button asks for. Whether a datasource is not there, or is not for this user to see, is answered in the same
// way (T42).
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
	case v.crossOrigin(ds):
		return v.refuse(&messageCrossOrigin)
	case ds == nil || !ds.Interactive() && v.route.action != actionRefresh:
		return v.refuse(&messageNotFound)
	case may == permissionNoKey:
		return v.refuse(&messageNoIdentity)
	case may == permissionLook:
		return v.refuse(&messageOperatorsOnly)
	}
	switch v.route.action {
	case actionConnect:
		return v.connect(ds, key)
	case actionRefresh:
		return v.refresh(ds, key)
	default:
		return v.disconnect(ds, key)
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

func (v *visit) connect(ds datasource, key string) error {
	if v.elsewhere(ds) {
		return v.refuse(messageElsewhere(ds))
	}
	if !v.comesBack(ds) {
		v.logger.Error("no authenticated_api_console is where redirect_url leads; put a console there, or correct redirect_url",
			zap.String("datasource", ds.Datasource()), zap.String("redirect_url", ds.Redirect()), zap.String("path", v.path))
		return v.show(messageNowhere(ds))
	}
	flow, to, err := ds.Begin(key, v.user)
	if err != nil {
		return v.cannotBegin(ds, err)
	}
	return v.depart(ds, flow, to)
}

func (v *visit) cannotBegin(ds datasource, err error) error {
	v.logger.Error("an account cannot be connected", because(ds, err)...)
	return v.show(&messageCannotBegin)
}

// depart sends the browser to the provider, with a cookie for the way back.
func (v *visit) depart(ds datasource, flow *oauth.Flow, to string) error {
	ring, err := v.h.ring()
	if err != nil {
		return v.cannotBegin(ds, err)
	}
	text, err := flow.Seal(ring)
	if err != nil {
		return v.cannotBegin(ds, err)
	}
	v.dropCookies(ring, time.Now())
	v.setCookie(ds, flow.ID(), text, oauth.FlowLifetime)
	v.logger.Info("connecting an account", zap.String("datasource", ds.Datasource()), zap.Bool("ticket", flow.Ticket))
	v.w.Header().Set("Referrer-Policy", "no-referrer")          // the provider need not know a page of ours
	caddyhttp.SetVar(v.r.Context(), caddyhttp.LogSkipVar, true) // access logs have the Location, which has the state in it
	return v.seeOther(to)
}

func (v *visit) refresh(ds datasource, key string) error {
	ctx, cancel := context.WithTimeout(v.r.Context(), actionTimeout)
	defer cancel()
	err := ds.Renew(ctx, key)
	if errors.Is(err, connection.ErrNotRenewable) { // an old page, which still has the button
		return v.refuse(&messageNotRenewable)
	}
	if err != nil {
		v.logger.Warn("refreshing a connection failed", because(ds, err)...)
		return v.showFailure(messageOf("The token could not be refreshed", err), err)
	}
	v.logger.Info("refreshed a connection", zap.String("datasource", ds.Datasource()))
	return v.seeOther(v.home())
}

func (v *visit) disconnect(ds datasource, key string) error {
	// A browser that leaves must not leave a connection that is half gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), actionTimeout)
	defer cancel()
	err := ds.Disconnect(ctx, key)
	if _, kept := errors.AsType[*connection.RevocationError](err); kept {
		v.logger.Warn("disconnected, but the provider could not be told", zap.String("datasource", ds.Datasource()), zap.Error(err))
		return v.showFailure(&messageNotRevoked, err)
	}
	if err != nil {
		v.logger.Error("disconnecting failed", because(ds, err)...)
		return v.showFailure(messageOf("The account could not be disconnected", err), err)
	}
	v.logger.Info("disconnected an account", zap.String("datasource", ds.Datasource()))
	return v.seeOther(v.home())
}
