// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

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

// EarlyRefusalError says that the provider has refused to renew a token that is valid. Nothing has
// ended: it is asked again when the token has.
type EarlyRefusalError struct{ Err *provider.Error }

// Error implements error.
func (e *EarlyRefusalError) Error() string { return e.Err.Error() }

// Unwrap returns what lies below.
func (e *EarlyRefusalError) Unwrap() error { return e.Err }

// errEnded is that a provider has issued a token that ends at once.
var errEnded = errors.New("the token has expired already when it came")
