// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

var (
	// ErrNotRenewable says that the provider has issued nothing that renews the token.
	ErrNotRenewable = errors.New("the provider has issued no refresh token; the access token is used as it is, until it expires or the API refuses it")

	// ErrSent says that another process has sent a code, and knows what came of it.
	ErrSent = errors.New("the code was sent to the provider by another gateway, or before a restart")

	// ErrOvertaken says that another account was connected at the same time, on another node,
	// and counts.
	ErrOvertaken = errors.New("another account was connected at the same time, and is in use; this one was given back")

	// errEnded says that a provider has issued a token that ends at once.
	errEnded = errors.New("the token has expired already when it came")
)

// EarlyRefusalError says that the provider has refused to renew a token that is valid. Nothing
// has ended: the provider is asked again when the token has.
type EarlyRefusalError struct{ Err *provider.Error }

// Error implements error.
func (e *EarlyRefusalError) Error() string { return e.Err.Error() }

// Unwrap returns what lies below.
func (e *EarlyRefusalError) Unwrap() error { return e.Err }
