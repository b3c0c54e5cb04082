// SPDX-License-Identifier: Apache-2.0

// Package signature has the signers. A signer puts header fields on a request that tell the API
// who sent it. The API verifies them, and the caller never sees the key.
//
// signature.go says what a signer is. There are two kinds: a Signer signs claims, whatever the
// request is, and a RequestSigner signs the request. Each signer is a guest module with files of
// its own: those of the JSON Web Token begin with jwt, those of AWS with aws_sigv4. What a key can
// sign with is in internal/signingkey.
//
// The package knows nothing about Caddy's HTTP modules, proxies and credentials.
package signature

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// Signer puts a signature on requests that does not depend on what is sent. Guest modules in the
// namespace http.authenticated_api.signers implement it.
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

// RequestSigner signs requests as they are sent. Guest modules in the namespace
// http.authenticated_api.signers implement it or Signer.
//
// All methods may be called by many requests at once.
type RequestSigner interface {
	caddy.Module

	// Fields returns the canonical names of the header fields that the signer sets. They are
	// removed from what clients send. The names are constant once the signer is provisioned.
	Fields() []string

	// Params returns the names of the query parameters that are removed from what clients send,
	// such as those of a signature of the client's own.
	Params() []string

	// SignRequest signs a request, which is otherwise complete. It is called for each attempt to
	// send a request. It returns what no answer may show of what it has put on the request. An
	// error that is ErrNotUTF8, ErrTooLarge or ErrSignedChunks is the request's fault, one of
	// Content's the client's, all others are the gateway's.
	SignRequest(out *Outgoing) (secrets []string, err error)
}

// Outgoing is a request that is about to be sent. A signer may set header fields and the length
// of a body that it has read, and may write URL and Host in another way that means the same to
// the API.
type Outgoing struct {
	*http.Request

	// Caller has the header fields as the client has sent them.
	Caller http.Header

	// Encrypted says that the request goes out with TLS.
	Encrypted bool

	// Content returns the whole body, for which it may wait. It must not be changed. The error is
	// ErrTooLarge if the body is larger than what is kept of bodies.
	Content func() ([]byte, error)

	// Replacer has the placeholders of the request.
	Replacer *caddy.Replacer
}

// Renewer is a signer whose keys or values may come from files.
type Renewer interface {
	caddy.Module

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

// What of a request cannot be signed.
var (
	ErrNotUTF8      = errors.New("the value is not UTF-8")
	ErrTooLarge     = errors.New("the body is larger than what is kept of it to be signed")
	ErrSignedChunks = errors.New("the client has signed the chunks of the body with a key of its own")
)
