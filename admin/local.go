// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// An account can be connected by a command that waits for the provider's answer on the machine of
// its user. beginLocal makes the flow, and the command keeps it, sealed; finishLocal gets the flow
// back with the answer, checks both, and redeems the code.

const (
	// maxFlow is the longest body that ends a flow: the flow, and the query of the answer.
	maxFlow = 64 << 10

	// redeemTimeout is how long the command waits for the redemption of its code.
	redeemTimeout = 30 * time.Second
)

// beginLocalRequest asks for a flow that ends at a command.
type beginLocalRequest struct {
	connectionRequest
	Redirect string `json:"redirect_uri"`
}

// beginLocalResponse has where the browser goes, and what the command brings back.
type beginLocalResponse struct {
	URL  string `json:"url"`
	Flow string `json:"flow"`
}

// finishLocalRequest has what a provider has answered.
type finishLocalRequest struct {
	Flow  string `json:"flow"`
	Query string `json:"query"`
}

// serveBeginLocal begins a flow that ends at a command.
func serveBeginLocal(w http.ResponseWriter, r *http.Request) error {
	var req beginLocalRequest
	if err := checkMethod(http.MethodPost, w, r); err != nil {
		return err
	}
	if err := readJSON(w, r, maxConnectionRequest, &req, `{"datasource": "…", "redirect_uri": "http://127.0.0.1:…/callback"}`); err != nil {
		return err
	}
	set, err := findSet(req.Datasource)
	if err != nil {
		return err
	}
	key, err := findKey(set, req.Connection)
	if err != nil {
		return err
	}
	method, err := findOAuth(set, "connect")
	if err != nil {
		return err
	}
	if err := oauth.CheckLoopback(req.Redirect); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	answer, err := beginLocal(r.Context(), method, key, req.Redirect)
	if err != nil {
		return connectionError(w.Header(), connectionName(set, key), err)
	}
	return answerJSON(w, answer)
}

func beginLocal(ctx context.Context, method *oauth.Method, key, redirect string) (*beginLocalResponse, error) {
	flow, to, err := oauth.BeginLocal(ctx, method, key, redirect)
	if err != nil {
		return nil, err
	}
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	ring, err := app.Ring()
	if err != nil {
		return nil, err
	}
	text, err := flow.Seal(ring)
	if err != nil {
		return nil, err
	}
	return &beginLocalResponse{to, text}, nil
}

// serveFinishLocal ends a flow with the answer of the provider that a command brings.
func serveFinishLocal(w http.ResponseWriter, r *http.Request) error {
	var req finishLocalRequest
	if err := checkMethod(http.MethodPost, w, r); err != nil {
		return err
	}
	if err := readJSON(w, r, maxFlow, &req, `{"flow": "…", "query": "…"}`); err != nil {
		return err
	}
	reply := oauth.ReadReply(req.Query)
	flow, method, err := openLocal(reply, req.Flow)
	if err != nil {
		return err
	}
	if err := checkReply(method, flow, reply); err != nil {
		return err
	}
	name := connectionName(method.Connections(), flow.Connection)
	// The command may end. The code is spent nevertheless.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), redeemTimeout)
	defer cancel()
	logger := caddy.Log().Named("admin.api")
	if err := method.Finish(ctx, flow, reply.Code); err != nil {
		logger.Warn("connecting an account failed", zap.String("datasource", method.Datasource()), zap.Error(err))
		return redemptionError(w.Header(), name, err)
	}
	logger.Info("connected an account by a command", zap.String("datasource", method.Datasource()))
	status, err := method.Source(flow.Connection).Status(ctx)
	if err != nil {
		return connectionError(w.Header(), name, err)
	}
	return answerJSON(w, status)
}

// openLocal returns the flow that a command has brought back, and its datasource. Nothing in the
// reply is believed before: the flow was sealed for its state.
func openLocal(reply oauth.Reply, text string) (*oauth.Flow, *oauth.Method, error) {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf(format, args...)}
	}
	if reply.Unclear != "" {
		return nil, nil, fail("the provider's answer cannot be read: its parameter %s is there twice, or badly encoded", reply.Unclear)
	}
	app, err := activeApp()
	if err != nil {
		return nil, nil, caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	ring, err := app.Ring()
	if err != nil {
		return nil, nil, caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	flow, err := oauth.OpenLocalFlow(ring, oauth.FlowID(reply.State), text)
	if err != nil {
		return nil, nil, fail("the provider's answer does not belong to this attempt, or the gateway's key has changed; begin again")
	}
	set, err := findSet(flow.Datasource)
	if err != nil {
		return nil, nil, err
	}
	method, err := findOAuth(set, "connect")
	if err != nil {
		return nil, nil, err
	}
	if method.PerUser() != (flow.Connection != "") {
		return nil, nil, fail("datasource %q was configured otherwise when this began; begin again", flow.Datasource)
	}
	return flow, method, nil
}

// checkReply checks the answer of a provider to a flow.
func checkReply(method *oauth.Method, flow *oauth.Flow, reply oauth.Reply) error {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case flow.Expired(time.Now()):
		return fail("the ten minutes of this attempt are over; begin again")
	case !flow.FromIssuer(reply.Issuer, method.IssuedBy()): // before anything else that it says, RFC 9207 §2.4
		return fail("the answer is not from the provider that the option issuer names; begin again, and do not go on from other pages")
	case reply.Error != "":
		if oauth.Forgotten(method, flow, reply.Error) {
			return fail("the provider seems to have forgotten the client that was registered there; begin again, and it is registered anew")
		}
		text := fmt.Sprintf("the provider has not connected the account: %s", method.Describe(flow.Connection, reply.Error, reply.State, reply.Code))
		if more := method.Describe(flow.Connection, reply.Description, reply.State, reply.Code); more != "" {
			text += ": " + more
		}
		return fail("%s", text)
	case reply.Code == "":
		return fail("the provider's answer has neither a code nor an error in it; begin again")
	}
	return nil
}

// redemptionError turns an error of a redemption into one of the admin API.
func redemptionError(h http.Header, name string, err error) error {
	switch {
	case errors.Is(err, connection.ErrOvertaken), errors.Is(err, connection.ErrSent):
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: err, Message: fmt.Sprintf("%s: %v", name, err)}
	case errors.Is(err, record.ErrKeyMissing), !errors.Is(err, context.DeadlineExceeded):
		return connectionError(h, name, err)
	default:
		return caddy.APIError{
			HTTPStatus: http.StatusServiceUnavailable, Err: err,
			Message: name + ": the provider has not answered yet; look at caddy authenticated-api status in a minute",
		}
	}
}
