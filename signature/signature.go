// SPDX-License-Identifier: Apache-2.0

// Package signature has the signers. A signer puts a header field on a request that tells the API
// who sent it. The API verifies the field, and the caller never sees the key.
//
// signature.go says what a signer is. Each signer is a guest module with files of its own: those
// of the JSON Web Token begin with jwt. A new algorithm of that token is an entry in
// jwt_algorithm.go.
//
// The package knows nothing about Caddy's HTTP modules, proxies and credentials.
package signature

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
)

// Signer signs requests. Guest modules in the namespace http.authenticated_api.signers implement
// it.
//
// All methods may be called by many requests at once.
type Signer interface {
	caddy.Module

	// Header returns the canonical name of the header field that carries the signature. The field
	// is removed from what clients send. The name is constant once the signer is provisioned.
	Header() string

	// Sign returns the value of the header field, in a slice that the caller must not change. It
	// is called for each attempt to send a request. repl has the placeholders of the request. An
	// error that is ErrNotUTF8 is the request's fault, all other errors are the gateway's.
	Sign(repl *caddy.Replacer) ([]string, error)
}

// Renewer is a Signer whose keys or values may come from files.
type Renewer interface {
	Signer

	// Renewable reports whether Renew can ever change anything. It is constant once the signer is
	// provisioned.
	Renewable() bool

	// Files returns the names of the files. It is constant once the signer is provisioned.
	Files() []string

	// Renew is called when the API has refused a signed request, and when a file has changed. It
	// reads the files again, and reports whether requests are signed in another way from now on.
	// After an error they are signed as before.
	Renew() (changed bool, err error)
}

// ErrNotUTF8 says that a value of a request cannot be signed.
var ErrNotUTF8 = errors.New("the value is not UTF-8")
