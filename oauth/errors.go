// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// ErrKeyMissing says that a stored record was sealed with a key that is not configured here.
var ErrKeyMissing = errors.New("the stored connection was sealed with a key that is not configured")

// ErrNotRenewable says that the provider has issued nothing by which a token could be renewed: it is used as it is.
var ErrNotRenewable = errors.New("the provider has issued no refresh token; the access token is used as it is, until it expires or the API refuses it")

// ErrSent says that the code of a flow was sent by another process, which knows what came of it.
var ErrSent = errors.New("the code was sent to the provider by another gateway, or before a restart")

var (
	// ErrTicketExpired says that a ticket's ten minutes are over.
	ErrTicketExpired = errors.New("the link is older than ten minutes; make a new one: caddy authenticated-api connect <name>")

	// ErrTicketUsed says that a ticket has been used.
	ErrTicketUsed = errors.New("the link has been used already; make a new one: caddy authenticated-api connect <name>")
)

// Why an account must be connected.
const (
	ReasonNotConnected = "not_connected" // nobody has
	ReasonDisconnected = "disconnected"  // somebody has taken it back here
	ReasonExpired      = "expired"       // the access token has, and there is no refresh token
	ReasonRevoked      = "revoked"       // by the provider
	ReasonRefused      = "refused"       // the refresh token, in words that do not say that it is gone; it is tried again
	ReasonDamaged      = "damaged"       // what was stored

	// ReasonLost is that the answer with the next refresh token was lost between the provider and the storage.
	ReasonLost = "lost_in_crash"
)

// AuthorizationError says that an account must be connected in a browser: nobody has, or the provider has withdrawn what it
// had granted.
type AuthorizationError struct {
	// Reason is one of the constants with that prefix.
	Reason string

	// Code is the OAuth error that the provider has named, "" if it was not asked.
	Code string

	// Description is what the provider has written of it, for operators; see Error.
	Description string
}

// Error implements error.
func (e *AuthorizationError) Error() string {
	s := "an account must be connected: " + e.Reason
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	return s + quoted(e.Description)
}

// quoted returns a description as it stands in the text of an error.
func quoted(description string) string {
	if description == "" {
		return ""
	}
	return ` "` + description + `"`
}

// EarlyRefusalError says that the provider has refused to renew a token that is valid. Nothing has ended: it is asked again when the
// token has.
type EarlyRefusalError struct{ Err *Error }

// Error implements error.
func (e *EarlyRefusalError) Error() string { return e.Err.Error() }

// Unwrap returns what lies below.
func (e *EarlyRefusalError) Unwrap() error { return e.Err }

// errEnded is that a provider has issued a token that ends at once.
var errEnded = errors.New("the token has expired already when it came")

// errNoIDToken is that token_field asks for what the provider does not issue.
var errNoIDToken = errors.New("the answer has no id_token that can be sent")

// Error says why there is no token. It is for operators: callers of the API may see its code, and not its text.
type Error struct {
	// Host is the token endpoint's.
	Host string

	// Status is that of the answer, 0 if there was none.
	Status int

	// Code is the OAuth error (RFC 6749 §5.2), "" if there was none.
	Code string

	// Description is what the provider has written of the error, "" for nothing: printable, at most 300 bytes, and without our
	// secrets and tokens.
	Description string

	// Retry says when another attempt makes sense.
	Retry time.Time

	// Err says more.
	Err error
}

// refusals are the errors by which a provider refuses a client for good: only the operator can mend that.
var refusals = []string{
	"invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unauthorized_client",
	"unsupported_grant_type", "unsupported_response_type", "access_denied",
}

// Rejected reports whether the provider refuses us for good. 5xx, 429 and the like say nothing of the kind, whatever is in them.
func (e *Error) Rejected() bool {
	return !saysNothing(e.Status) && slices.Contains(refusals, e.Code)
}

// Error implements error.
func (e *Error) Error() string {
	s := "token endpoint " + e.Host
	if e.Host == "" {
		s = "token request"
	}
	if e.Status != 0 {
		s += " answered " + strconv.Itoa(e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	s += quoted(e.Description)
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap returns what lies below.
func (e *Error) Unwrap() error { return e.Err }

// Remedy says what an operator can do.
func (e *Error) Remedy() string {
	switch e.Code {
	case "invalid_client", "incorrect_client_credentials", "bad_client_secret": // the last two are GitHub's and Slack's
		return "check client_id and client_secret, and try the other ways of client_auth: client_secret_basic, " +
			"client_secret_basic_raw, client_secret_post"
	case "invalid_scope":
		return "check scopes against what the provider knows, and has granted to this client"
	case "invalid_target":
		return "check audience and resource"
	case "unauthorized_client", "unsupported_grant_type":
		return "allow this grant for the client at the provider"
	case "invalid_request":
		return "check token_request, token_param, audience and resource against the provider's documentation"
	case "invalid_grant":
		return "connect the account again; if that fails, check redirect_url, pkce and the clock"
	}
	switch {
	case errors.Is(e.Err, errNoIDToken):
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
