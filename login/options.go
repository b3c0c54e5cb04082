// SPDX-License-Identifier: Apache-2.0

package login

import (
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// Options are the options of `auth login`, as a configuration has them.
type Options struct {
	// Where the gateway signs in: https, or http on a loopback address. Global placeholders such as
	// `{env.NAME}` are resolved when the configuration loads, here and in all values below, and
	// again for each login.
	URL string `json:"url,omitempty"`

	// The method of the request. Default: `POST`.
	RequestMethod string `json:"request_method,omitempty"`

	// The body as a JSON object. Texts may hold placeholders, those of objects and lists in it too.
	// In a Caddyfile all values are texts but those that begin with `json:`.
	JSON map[string]any `json:"json,omitempty"`

	// The body as a form.
	Form map[string]string `json:"form,omitempty"`

	// A user name and a password for the login, RFC 7617.
	Basic *Pair `json:"basic,omitempty"`

	// Header fields of the login.
	Headers map[string]string `json:"headers,omitempty"`

	// A token that the gateway signs, for `Authorization: Bearer` of the login: GitHub Apps get
	// their tokens so.
	JWT *signature.TokenOptions `json:"jwt,omitempty"`

	// Where the answer has the token: `json:<path>`, `header:<field>`, `cookie:<name>` or `body`.
	// A path is made of the names of members with dots between them.
	Token string `json:"token,omitempty"`

	// How long the token is used: a duration; or where the answer says it, by `json:<path>`, a
	// path alone, or `header:<field>`. There it is a number of seconds, a Unix time in seconds or
	// milliseconds, or a date. Default: what a cookie says of itself; otherwise until the API
	// refuses it.
	ExpiresIn string `json:"expires_in,omitempty"`

	// More of the answer that requests carry, such as a CSRF token: header fields, or cookies as
	// `cookie:<name>`, with where the answer has them, as in `token`.
	Also map[string]string `json:"also,omitempty"`

	auth.TokenPlace

	// Certificates to trust for the login, in place of the system's: the path of a PEM file, or
	// its text. Default: the system's roots.
	SelfSignedCert string `json:"self_signed_cert,omitempty"`

	// Allow an http login that is not on a loopback address. The password is then sent in clear.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	// How long one login may take. Default: `10s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What the selectors say; see readSelectors.
	token  provider.Selector
	also   map[string]provider.Selector
	expire expiry
}

// Pair is a user name and a password.
type Pair struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// expiry is the option expires_in: one of the two, or neither.
type expiry struct {
	fixed time.Duration
	at    provider.Selector
}
