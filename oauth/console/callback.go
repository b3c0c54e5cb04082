// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// finishTimeout is how long somebody waits for the redemption of a code. It goes on after that.
const finishTimeout = 30 * time.Second

// callback answers a browser that comes back from a provider. It believes nothing of what the request says until the flow
// in the browser's cookie fits it: the callback is a GET that any page can send a browser to (T5, T6, T9).
func (v *visit) callback() error {
	v.w.Header().Set("Referrer-Policy", "no-referrer") // the URL has a code in it
	switch v.r.Method {
	case http.MethodGet:
	case http.MethodPost:
		v.w.Header().Set("Allow", http.MethodGet)
		if v.user == "" {
			return v.refuse(&messageForm)
		}
		return v.turnAway(reply{}, nil, &messageForm)
	default: // a HEAD of a link scanner must not use up the code
		return v.methodNotAllowed("GET")
	}
	reply := readReply(v.r.URL.RawQuery)
	flow, ds := v.flow(reply.state)
	if v.user == "" && (flow == nil || !flow.Ticket) {
		return v.refuse(&messageNobody)
	}
	if reply.unclear != "" || flow == nil {
		m := misfit(reply)
		if v.user != "" {
			m.Link = v.route.callbacks[0].Console()
		}
		return v.turnAway(reply, nil, &m)
	}
	if flow.Expired(time.Now()) {
		return v.turnAway(reply, ds, messageLate.to(flow, ds))
	}
	if wrong := v.checkUser(flow, ds); wrong != nil {
		return v.turnAway(reply, ds, wrong)
	}
	if flow.Done { // the back button, a reload, a link scanner; RFC 6749 §4.1.2 has a provider revoke tokens for that
		return v.show(messageDone.to(flow, ds))
	}
	// Another provider could have sent the browser here, to be shown the code of this one (RFC 9207 §2.4).
	if iss := ds.IssuedBy(); iss != "" && reply.iss != iss {
		return v.turnAway(reply, ds, messageIssuer.to(flow, ds))
	}
	if reply.err != "" {
		v.expireCookie(flow.ID(), isSecure(ds))
		return v.turnAway(reply, ds, messageOfDenial(reply.err).to(flow, ds))
	}
	if reply.code == "" {
		return v.turnAway(reply, ds, messageNoCode.to(flow, ds))
	}
	return v.finish(flow, ds, reply.code)
}

// misfit says what is wrong with a reply that fits no flow, or cannot be read.
func misfit(reply reply) message {
	switch {
	case reply.unclear != "":
		return messageUnclear
	case reply.state != "":
		return messageNoFlow
	case reply.err != "":
		m := messageOfDenial(reply.err)
		m.Text += " The answer does not say to which attempt it belongs (it has no state), so that is all that is known."
		return m
	default:
		return messageNoState
	}
}

// turnAway answers who comes back and is not connected. The log says why: it is the only trace of it, since callbacks are not in
// the access logs. ds is nil where it is not known whose answer that was; any page can make such a one.
func (v *visit) turnAway(reply reply, ds datasource, m *message) error {
	fields := []zap.Field{zap.Int("status", m.Status), zap.String("reason", m.Title)}
	if ds != nil {
		fields = append(fields, zap.String("datasource", ds.Datasource()))
	}
	if reply.unclear != "" {
		fields = append(fields, zap.String("parameter", reply.unclear))
	}
	if reply.err == "" {
		v.logger.Info("a callback did not connect an account", fields...)
		return v.show(m)
	}
	fields = append(fields, zap.String("error", loggedDenial(reply.err)))
	if text := v.describe(reply, ds); text != "" {
		fields = append(fields, zap.String("error_description", text))
	}
	v.logger.Info("the provider did not connect an account", fields...)
	return v.show(m)
}

// describe returns the description in a reply as the log may have it. No page shows it, not to operators either: it comes by the
// address, which anybody can make (T13). Where nobody knows whose reply it is, it is without the secrets of each datasource whose
// it may be.
func (v *visit) describe(reply reply, ds datasource) string {
	list := v.route.callbacks
	if ds != nil {
		list = []datasource{ds}
	}
	text := reply.description
	for _, ds := range list {
		text = ds.Describe("", text, reply.state, reply.code)
	}
	return text
}

// flow returns the flow of a state that this browser has begun, and its datasource; nil if there is none that could end at
// this path.
func (v *visit) flow(state string) (*oauth.Flow, datasource) {
	if state == "" {
		return nil, nil
	}
	ring, err := v.h.ring()
	if err != nil {
		v.logger.Error("a flow cannot be opened", zap.Error(err))
		return nil, nil
	}
	id := oauth.FlowID(state)
	for _, cookie := range v.r.Cookies() {
		found, secure, ok := flowOfCookie(cookie.Name)
		if !ok || found != id {
			continue
		}
		flow, err := oauth.OpenFlow(ring, id, cookie.Value)
		if err != nil || subtle.ConstantTimeCompare([]byte(flow.State), []byte(state)) != 1 {
			continue
		}
		// A cookie that plain http could have set does not count for a flow on https.
		ds := find(v.route.callbacks, flow.Datasource)
		if ds != nil && isSecure(ds) == secure {
			return flow, ds
		}
	}
	return nil, nil
}

// checkUser reports why whoever comes back is not who has begun the flow, or may not end it any more. A ticket's flow is
// bound to the browser alone.
func (v *visit) checkUser(flow *oauth.Flow, ds datasource) *message {
	if ds.PerUser() != (flow.Connection != "") { // the configuration has changed in the meantime
		return messageNoFlow.to(flow, ds)
	}
	if flow.Ticket {
		return nil
	}
	if flow.User != v.user {
		return messageOtherUser.to(flow, ds)
	}
	may, key := v.permission(ds)
	switch {
	case ds.PerUser() && (may != permissionAct || key != flow.Connection):
		return messageOtherUser.to(flow, ds)
	case may != permissionAct:
		return messageNoOperator.to(flow, ds)
	}
	return nil
}

// finish redeems the code and sends the browser on, to an address without a code in it that is taken from the
// configuration: never from the request (T11).
func (v *visit) finish(flow *oauth.Flow, ds datasource, code string) error {
	// The browser may leave; the code is spent all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), finishTimeout)
	defer cancel()
	if err := ds.Finish(ctx, flow, code); err != nil {
		return v.notFinished(ctx, flow, ds, err)
	}
	v.logger.Info("connected an account", zap.String("datasource", ds.Datasource()), zap.Bool("ticket", flow.Ticket))
	v.mark(flow, ds, func(f *oauth.Flow) { f.Done = true })
	to := ds.Console()
	if flow.Ticket { // who has a ticket may not see the console
		to += "callback?" + url.Values{"state": {flow.State}}.Encode()
	}
	return v.seeOther(to)
}

// notFinished says why there is no connection, or none yet.
func (v *visit) notFinished(ctx context.Context, flow *oauth.Flow, ds datasource, err error) error {
	_, failed := errors.AsType[*provider.Error](err)
	late := ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !failed // the datasource's own timeout may be longer
	if late || errors.Is(err, connection.ErrSent) {
		v.logger.Warn("the provider has not answered yet; the account may still be connected", because(ds, err)...)
		// A reload tells how it ended, where that is known; another gateway must not send the code again (RFC 6749 §4.1.2).
		v.mark(flow, ds, func(f *oauth.Flow) { f.Sent = true })
		m := messageNoAnswerYet
		if flow.Ticket {
			m.Hint = "Ask the operator of the gateway in a minute whether it is."
		}
		return v.show(m.to(flow, ds))
	}
	v.expireCookie(flow.ID(), isSecure(ds))
	v.logger.Warn("connecting an account failed", because(ds, err)...)
	switch {
	case errors.Is(err, oauth.ErrTicketUsed):
		return v.show(&messageTicketUsedUp)
	case errors.Is(err, connection.ErrOvertaken):
		return v.show(messageOvertaken.to(flow, ds))
	}
	return v.showFailure(messageOfFinish(err).to(flow, ds), err)
}

// mark leaves the cookie for what remains of its time, with what is known now, so that a repeat is known as one on any node.
func (v *visit) mark(flow *oauth.Flow, ds datasource, change func(*oauth.Flow)) {
	marked := *flow
	change(&marked)
	ring, err := v.h.ring()
	if err == nil {
		var text string
		if text, err = marked.Seal(ring); err == nil {
			v.setCookie(ds, marked.ID(), text, min(time.Until(flow.Began.Add(oauth.FlowLifetime)), oauth.FlowLifetime))
			return
		}
	}
	v.logger.Error("a flow cannot be marked", zap.String("datasource", ds.Datasource()), zap.Error(err))
}
