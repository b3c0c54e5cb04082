// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"
)

// Error says that a request to a provider has failed. It never holds a secret, nor a part of the
// answer but for the error code and the description, which are checked.
type Error struct {
	// Host is the endpoint's, with its port. It is empty if no request could be made.
	Host string

	// Status is that of the answer, 0 if there was none.
	Status int

	// Code is the OAuth error in the answer, "" if there was none.
	Code string

	// Description is what the provider has written of the error, "" for nothing. It is printable,
	// has at most 300 bytes, and none of the client's secrets and tokens is in it.
	Description string

	// Retry says when another attempt makes sense.
	Retry time.Time

	// ClientAuth is how the client has authenticated, one of ClientAuths; "" for a login.
	ClientAuth string

	// ClientGone says that the provider does not know the client any more that was registered.
	// What it has issued to that client is of no use.
	ClientGone bool

	// Login says that the request was a login, and no token request.
	Login bool

	// Delivery says what became of the request.
	Delivery Delivery

	// Advice is what an operator can do about invalid_grant; "" stands for connecting again.
	Advice string

	// Err says more.
	Err error
}

var (
	// ErrNoIDToken says that an answer lacks the ID token that was needed.
	ErrNoIDToken = errors.New("the answer has no id_token that can be sent")

	// ErrNotIssued says that a provider has refused with the status of a success and without the
	// word error: {"errcode":40030,"errmsg":"invalid refresh_token"} (WeChat).
	ErrNotIssued = errors.New("the answer has neither a token nor an error")

	errNoDocument = errors.New("the answer is neither a JSON object nor a form")
	errNoToken    = errors.New("the answer has no access_token that can be sent")
)

// refusals are the errors by which a provider refuses a client for good: only the operator can
// mend that.
var refusals = []string{
	"invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "invalid_target",
	"unauthorized_client", "unsupported_grant_type", "unsupported_response_type", "access_denied",
}

// Rejected reports whether the provider refuses the client for good. An inconclusive answer says
// nothing of the kind, whatever is in it.
func (e *Error) Rejected() bool {
	if e.Login {
		return !e.Inconclusive() && e.Status >= 400 || errors.Is(e.Err, ErrNoLoginToken)
	}
	return !e.Inconclusive() && slices.Contains(refusals, e.Code)
}

// The outcomes of a token request.
const (
	Success = "success"
	Refused = "refused" // the provider has said no
	Failed  = "failed"  // there was no answer, or none that says anything
)

// OutcomeOf returns the outcome of a token request that has ended with an error, or nil.
func OutcomeOf(err error) string {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return Success
	case ok && !e.Inconclusive() && (e.Status >= http.StatusBadRequest || e.Code != ""):
		return Refused
	default:
		return Failed
	}
}

// Inconclusive reports whether the answer's status says nothing of the request: 0 stands for no
// answer, 407 is a proxy's, 408, 425 and 429 ask to come again, a redirect is not followed, and
// 5xx is a failure of the server.
func (e *Error) Inconclusive() bool {
	switch e.Status {
	case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return true
	}
	return e.Status < 200 || e.Status >= 300 && e.Status < 400 || e.Status >= 500
}

// Error implements error.
func (e *Error) Error() string {
	s, request := "token endpoint "+e.Host, "token request"
	if e.Login {
		s, request = "the login at "+e.Host, "login"
	}
	if e.Host == "" {
		s = request
	}
	if e.Status != 0 {
		s += " answered " + strconv.Itoa(e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Description != "" {
		s += ` "` + e.Description + `"`
	}
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap returns what lies below.
func (e *Error) Unwrap() error { return e.Err }

// MarshalLogObject implements zapcore.ObjectMarshaler: it has what an operator needs to mend the
// failure, apart from Err.
func (e *Error) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if e.Login {
		enc.AddString("login_host", e.Host)
	} else {
		enc.AddString("token_endpoint", e.Host)
	}
	enc.AddInt64("status", int64(e.Status)) // as zap.Int has it
	enc.AddString("oauth_error", e.Code)
	enc.AddString("remedy", e.Remedy())
	if e.Description != "" {
		enc.AddString("error_description", e.Description)
	}
	return nil
}

// Remedy says what an operator can do.
func (e *Error) Remedy() string {
	if e.Login {
		return e.loginRemedy()
	}
	switch e.Code {
	case "invalid_client",
		"incorrect_client_credentials", "bad_client_secret": // GitHub's and Slack's
		return clientAuthRemedy(e.ClientAuth)
	case "invalid_scope":
		return "check scopes against what the provider knows, and has granted to this client"
	case "invalid_target":
		return "check audience and resource"
	case "unauthorized_client", "unsupported_grant_type":
		return "allow this grant for the client at the provider"
	case "invalid_request":
		return "check token_request, token_param, audience and resource against the provider's documentation"
	case "invalid_grant":
		if e.Advice != "" {
			return e.Advice
		}
		return "connect the account again; if that fails, check redirect_url, pkce and the clock"
	}
	if fail, ok := errors.AsType[*DiscoveryError](e.Err); ok && fail.Option != "" {
		return fail.Option
	}
	switch {
	case errors.Is(e.Err, ErrNoIDToken):
		return "ask for the scope openid, or remove token_field"
	case e.Host == "" && e.Status == 0 && e.Err != nil: // no request was made
		return "mend what the cause names"
	case e.Status == http.StatusTooManyRequests:
		return "the provider limits token requests; nothing is to be done but wait"
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed:
		return "check token_url"
	case e.Status >= 300 && e.Status < 400:
		return "the provider redirects, and secrets are not sent after a redirect; give the final URL as token_url"
	case e.Status >= http.StatusInternalServerError:
		return "the provider fails; it is asked again"
	case e.Code != "":
		return "look the error up in the provider's documentation of its token endpoint"
	case e.Status != 0:
		return "check token_url; what answers there is no token endpoint"
	default:
		return "check token_url, the network, and the endpoint's certificate (self_signed_cert)"
	}
}

// loginRemedy is Remedy for a login.
func (e *Error) loginRemedy() string {
	switch {
	case errors.Is(e.Err, ErrNoLoginToken):
		return "check token and also against what the login answers; many APIs answer a wrong password with 200, too"
	case e.Host == "" && e.Status == 0 && e.Err != nil:
		return "mend what the cause names"
	case e.Status == http.StatusTooManyRequests:
		return "the API limits logins; nothing is to be done but wait"
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed:
		return "check the URL of auth login, and its method"
	case e.Status >= 300 && e.Status < 400:
		return "the login redirects and sets no such cookie: secrets are not sent after a redirect; give the final URL"
	case e.Status >= http.StatusInternalServerError:
		return "the login fails; it is tried again"
	case e.Status != 0:
		return "check user name and password, and how the login wants them (json, form, basic, header); many APIs lock an account after a few " +
			"failures, so the same login is tried again ever more rarely, another one at once, and caddy authenticated-api refresh tries now"
	default:
		return "check the URL of auth login, the network, and the certificate there (self_signed_cert)"
	}
}

// Interface guards
var (
	_ error                   = (*Error)(nil)
	_ zapcore.ObjectMarshaler = (*Error)(nil)
)
