// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// finishTimeout is how long a browser waits for the redemption of a code. The redemption itself
// goes on after that.
const finishTimeout = 30 * time.Second

// callback is a browser that comes back from a provider.
type callback struct {
	visit *visit
	reply oauth.Reply

	// flow and ds are what the reply is for, nil as long as that is not known. Any page can send a
	// browser here with a reply that fits no flow.
	flow *oauth.Flow
	ds   datasource
}

// callback answers a browser that comes back from a provider. It believes nothing in the request
// until a flow in the browser's cookies fits it: the callback is a GET, and any page can send a
// browser to it.
func (v *visit) callback() error {
	v.w.Header().Set("Referrer-Policy", "no-referrer") // the URL has a code in it
	switch v.r.Method {
	case http.MethodGet:
	case http.MethodPost:
		v.w.Header().Set("Allow", http.MethodGet)
		if v.user == "" {
			return v.refuse(&messageForm)
		}
		c := &callback{visit: v}
		return c.turnAway(&messageForm)
	default: // a HEAD of a link scanner must not use up the code
		return v.methodNotAllowed("GET")
	}
	c := &callback{visit: v, reply: oauth.ReadReply(v.r.URL.RawQuery)}
	c.findFlow()
	return c.answer()
}

// findFlow finds the flow of the reply's state among those that this browser has begun and that
// may end at this path.
func (c *callback) findFlow() {
	if c.reply.State == "" {
		return
	}
	ring, err := c.visit.h.ring()
	if err != nil {
		c.visit.logger.Error("a flow cannot be opened", zap.Error(err))
		return
	}
	c.flow, c.ds = c.visit.cookies.find(ring, c.reply.State, c.visit.route.callbacks)
}

// answer checks the reply, and connects the account if nothing is wrong with it.
func (c *callback) answer() error {
	v := c.visit
	if v.user == "" && (c.flow == nil || !c.flow.Ticket) {
		return v.refuse(&messageNobody)
	}
	if c.reply.Unclear != "" || c.flow == nil {
		c.flow, c.ds = nil, nil // an unclear reply belongs to no flow
		m := misfit(c.reply)
		if v.user != "" {
			m.Link = v.route.callbacks[0].Console()
		}
		return c.turnAway(&m)
	}
	if c.flow.Expired(time.Now()) {
		return c.turnAway(c.linked(messageLate))
	}
	if wrong := c.checkUser(); wrong != nil {
		return c.turnAway(wrong)
	}
	// The back button, a reload or a link scanner repeats a callback. A provider revokes the
	// tokens of a code that it sees twice (RFC 6749 §4.1.2).
	if c.flow.Done {
		return v.show(c.linked(messageDone))
	}
	// Another provider could have sent the browser here, to be shown this provider's code
	// (RFC 9207 §2.4).
	if !c.flow.FromIssuer(c.reply.Issuer, c.ds.IssuedBy()) {
		return c.turnAway(c.linked(messageIssuer))
	}
	if c.reply.Error != "" {
		c.forget()
		if c.ds.Denied(c.flow, loggedDenial(c.reply.Error)) {
			return c.turnAway(c.linked(messageForgotten))
		}
		return c.turnAway(c.linked(messageOfDenial(c.reply.Error)))
	}
	if c.reply.Code == "" {
		return c.turnAway(c.linked(messageNoCode))
	}
	return c.finish()
}

// misfit says what is wrong with a reply that fits no flow, or cannot be read.
func misfit(reply oauth.Reply) message {
	switch {
	case reply.Unclear != "":
		return messageUnclear
	case reply.State != "":
		return messageNoFlow
	case reply.Error != "":
		m := messageOfDenial(reply.Error)
		m.Text += " The answer does not say to which attempt it belongs (it has no state), so that is all that is known."
		return m
	default:
		return messageNoState
	}
}

// linked returns a message with a link to the datasource's console, unless a ticket stands for the
// user.
func (c *callback) linked(m message) *message { return m.to(c.flow, c.ds) }

// turnAway answers a browser whose account is not connected. The log says why. It is the only
// trace, because callbacks are not in the access logs.
func (c *callback) turnAway(m *message) error {
	fields := []zap.Field{zap.Int("status", m.Status), zap.String("reason", m.Title)}
	if c.ds != nil {
		fields = append(fields, zap.String("datasource", c.ds.Datasource()))
	}
	if c.reply.Unclear != "" {
		fields = append(fields, zap.String("parameter", c.reply.Unclear))
	}
	if c.reply.Error == "" {
		c.visit.logger.Info("a callback did not connect an account", fields...)
		return c.visit.show(m)
	}
	fields = append(fields, zap.String("error", loggedDenial(c.reply.Error)))
	if text := c.description(); text != "" {
		fields = append(fields, zap.String("error_description", text))
	}
	c.visit.logger.Info("the provider did not connect an account", fields...)
	return c.visit.show(m)
}

// description returns the reply's error_description as the log may have it. No page shows it, not
// even to operators: it comes in the address, which anybody can make up. If the reply fits no
// flow, the secrets of every datasource that it may be for are taken out.
func (c *callback) description() string {
	list := c.visit.route.callbacks
	if c.ds != nil {
		list = []datasource{c.ds}
	}
	text := c.reply.Description
	for _, ds := range list {
		text = ds.Describe("", text, c.reply.State, c.reply.Code)
	}
	return text
}

// checkUser reports why the user may not end the flow: because another user has begun it, or
// because the rights or the configuration have changed in the meantime. A flow that a ticket has
// begun is bound to the browser alone.
func (c *callback) checkUser() *message {
	if c.ds.PerUser() != (c.flow.Connection != "") { // the configuration has changed
		return c.linked(messageNoFlow)
	}
	if c.flow.Ticket {
		return nil
	}
	if c.flow.User != c.visit.user {
		return c.linked(messageOtherUser)
	}
	may, key := c.visit.permission(c.ds)
	switch {
	case c.ds.PerUser() && (may != permissionAct || key != c.flow.Connection):
		return c.linked(messageOtherUser)
	case may != permissionAct:
		return c.linked(messageNoOperator)
	}
	return nil
}

// finish redeems the code and sends the browser on to an address that has no code in it. The
// address comes from the configuration, never from the request.
func (c *callback) finish() error {
	// The browser may leave. The code is spent nevertheless.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.visit.r.Context()), finishTimeout)
	defer cancel()
	if err := c.ds.Finish(ctx, c.flow, c.reply.Code); err != nil {
		return c.notFinished(ctx, err)
	}
	c.visit.logger.Info("connected an account", zap.String("datasource", c.ds.Datasource()), zap.Bool("ticket", c.flow.Ticket))
	c.mark(func(f *oauth.Flow) { f.Done = true })
	to := card(c.ds.Console(), c.ds, didConnect)
	if c.flow.Ticket { // whoever has a ticket may not be allowed to see the console
		to = c.ds.Console() + "callback?" + url.Values{"state": {c.flow.State}}.Encode()
	}
	return c.visit.seeOther(to)
}

// notFinished says why there is no connection, or none yet.
func (c *callback) notFinished(ctx context.Context, err error) error {
	v := c.visit
	_, failed := errors.AsType[*provider.Error](err)
	// The datasource's own timeout may be longer than ours.
	late := ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !failed
	if late || errors.Is(err, connection.ErrSent) {
		v.logger.Warn("the provider has not answered yet; the account may still be connected", because(c.ds, err)...)
		// A reload tells how the redemption ended, if that is known. Another gateway must not send
		// the code again (RFC 6749 §4.1.2).
		c.mark(func(f *oauth.Flow) { f.Sent = true })
		m := messageNoAnswerYet
		if c.flow.Ticket {
			m.Hint = "Ask the operator of the gateway in a minute whether it is."
		}
		return v.show(c.linked(m))
	}
	c.forget()
	v.logger.Warn("connecting an account failed", because(c.ds, err)...)
	switch {
	case errors.Is(err, oauth.ErrTicketUsed):
		return v.show(&messageTicketUsedUp)
	case errors.Is(err, connection.ErrOvertaken):
		return v.show(c.linked(messageOvertaken))
	}
	return v.showFailure(c.linked(messageOfFinish(err)), err)
}

// forget makes the browser forget the flow.
func (c *callback) forget() { c.visit.cookies.expire(c.flow.ID(), isSecure(c.ds)) }

// mark writes what is known now into the flow's cookie, for the rest of its lifetime. So every
// node recognizes a repetition of the callback.
func (c *callback) mark(change func(*oauth.Flow)) {
	marked := *c.flow
	change(&marked)
	ring, err := c.visit.h.ring()
	if err == nil {
		var text string
		if text, err = marked.Seal(ring); err == nil {
			left := min(time.Until(c.flow.Began.Add(oauth.FlowLifetime)), oauth.FlowLifetime)
			c.visit.cookies.set(c.ds, marked.ID(), text, left)
			return
		}
	}
	c.visit.logger.Error("a flow cannot be marked", zap.String("datasource", c.ds.Datasource()), zap.Error(err))
}
