// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// quiet returns err with a text that has nothing in it that the API has sent.
func quiet(err error) error {
	if err == nil {
		return nil // here, since withoutQuotes allocates at its beginning what errors.As needs
	}
	return withoutQuotes(err)
}

func withoutQuotes(err error) error {
	var dial reverseproxy.DialError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &dial) || errors.As(err, &certificate) {
		return err
	}
	text, cut := peer.Text(err)
	if !cut {
		return err
	}
	return &quietError{err, text}
}

// quietProxy is quiet for the error of a proxy that has another transport than ours.
func quietProxy(err error) error {
	e, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || e.Err == nil || e.StatusCode != http.StatusBadGateway && e.StatusCode != http.StatusGatewayTimeout {
		return err
	}
	e.Err = quiet(e.Err)
	return e
}

// withoutPath returns err with a text that shows no credential: net/http has errors that quote the
// path of a request.
func withoutPath(err error, credential *auth.Credential) error {
	if err == nil || !credential.InPath() || !(&secret.Lists{credential.Secrets()}).In(err.Error()) {
		return err
	}
	return &quietError{err, "the request failed, and the reason would show the credential in its path"}
}

// shownURL returns a URL as logs may have it: without the credential in its path.
func shownURL(u *url.URL, credential *auth.Credential) string {
	if !credential.InPath() {
		return u.String()
	}
	origin := url.URL{Scheme: u.Scheme, Host: u.Host}
	return origin.String() + credential.Shown(wire.EscapedPath(u)+u.Opaque)
}

// quietError is an error with another text.
type quietError struct {
	error
	text string
}

// Error implements error.
func (e *quietError) Error() string { return e.text }

// Unwrap returns the error that quietError hides the text of.
func (e *quietError) Unwrap() error { return e.error }
