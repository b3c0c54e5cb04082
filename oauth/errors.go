// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// ErrKeyMissing says that a stored record was sealed with a key that is not configured here.
var ErrKeyMissing = errors.New("the stored connection was sealed with a key that is not configured")

// ErrNotRenewable says that the provider has issued nothing by which a token could be renewed: it
// is used as it is.
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
	ReasonRefused      = "refused"       // the refresh token, in words of the provider's own; it is tried again
	ReasonDamaged      = "damaged"       // what was stored

	// ReasonLost is that the answer with the next refresh token was lost between the provider and
	// the storage.
	ReasonLost = "lost_in_crash"
)

// AuthorizationError says that an account must be connected in a browser: nobody has, or the
// provider has withdrawn what it had granted.
type AuthorizationError struct {
	// Reason is one of the constants with that prefix.
	Reason string

	// Code is the OAuth error that the provider has named, "" if it was not asked.
	Code string

	// Description is what the provider has written of it, for operators; see provider.Error.
	Description string
}

// Error implements error.
func (e *AuthorizationError) Error() string {
	s := "an account must be connected: " + e.Reason
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Description != "" {
		s += ` "` + e.Description + `"`
	}
	return s
}

// EarlyRefusalError says that the provider has refused to renew a token that is valid. Nothing has
// ended: it is asked again when the token has.
type EarlyRefusalError struct{ Err *provider.Error }

// Error implements error.
func (e *EarlyRefusalError) Error() string { return e.Err.Error() }

// Unwrap returns what lies below.
func (e *EarlyRefusalError) Unwrap() error { return e.Err }

// errEnded is that a provider has issued a token that ends at once.
var errEnded = errors.New("the token has expired already when it came")
