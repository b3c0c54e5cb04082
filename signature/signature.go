// SPDX-License-Identifier: Apache-2.0

// Package signature says who sent a request: signers put a header field on it that the API can verify with a key that
// the caller never sees.
//
// It knows nothing of Caddy's HTTP modules.
package signature

import "github.com/caddyserver/caddy/v2"

// Signer signs requests. Guest modules in the namespace http.authenticated_api.signers implement it.
//
// All functions may be called by many requests at once.
type Signer interface {
	caddy.Module

	// Header is the canonical name of the header field that carries the signature. What clients send there is removed.
	// It is constant once the signer is provisioned.
	Header() string

	// Sign returns the value of the header field, in a slice that the caller must not change. It is called for each
	// attempt to send a request; repl has the placeholders of the request. An error that is ErrNotUTF8 is the request's
	// fault, all others are the gateway's.
	Sign(repl *caddy.Replacer) ([]string, error)
}

// Renewer is a Signer that may sign with what is in files.
type Renewer interface {
	Signer

	// Renewable reports whether Renew can ever change anything. It is constant once the signer is provisioned.
	Renewable() bool

	// Renew is called when the API has refused a signed request: it reads the files again, and reports whether requests are
	// signed in another way from now on. After an error they are signed as before.
	Renew() (changed bool, err error)
}
