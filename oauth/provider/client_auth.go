// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
)

// The ways of client authentication that callers name. ClientAuths has all of them.
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"
	ClientSecretJWT   = "client_secret_jwt"
	PrivateKeyJWT     = "private_key_jwt"
	TLSClientAuth     = "tls_client_auth"
	AssertionFile     = "assertion_file"
	ClientAuthNone    = "none"
)

// clientAuths has one line for each way in which a client can authenticate. Each has a file of its
// own, client_auth_*.go. The remedy is for invalid_client; "" stands for that of a secret.
var clientAuths = []struct {
	name         string
	authenticate func(*attempt) error
	remedy       string
}{
	{ClientSecretBasic, clientSecretBasic, ""},
	{"client_secret_basic_raw", clientSecretBasicRaw, ""},
	{ClientSecretPost, clientSecretPost, ""},
	{ClientSecretJWT, clientSecretJWT, clientSecretJWTRemedy},
	{PrivateKeyJWT, privateKeyJWT, privateKeyJWTRemedy},
	{TLSClientAuth, tlsClientAuth, tlsClientAuthRemedy},
	{AssertionFile, assertionFile, assertionFileRemedy},
	{ClientAuthNone, clientAuthNone, ""},
}

// ClientAuths returns the names of all ways of client authentication, the default first.
func ClientAuths() []string {
	names := make([]string, len(clientAuths))
	for i, way := range clientAuths {
		names[i] = way.name
	}
	return names
}

// clientAuth is how a client authenticates for a request.
type clientAuth struct {
	name      string // one of ClientAuths
	assertion *Assertion
}

// clientAuth returns how the client authenticates for all requests but refresh requests.
func (cfg *Config) clientAuth() clientAuth {
	return clientAuth{cmp.Or(cfg.ClientAuth, ClientSecretBasic), cfg.Assertion}
}

// refreshClientAuth returns how the client authenticates for refresh requests.
func (cfg *Config) refreshClientAuth() clientAuth {
	if cfg.RefreshClientAuth == "" {
		return cfg.clientAuth()
	}
	return clientAuth{cfg.RefreshClientAuth, cfg.RefreshAssertion}
}

// attempt is one request to an endpoint before it is encoded. A way of client authentication adds
// to the form or to the header. It is called for each attempt, so what it adds may be good once.
type attempt struct {
	cfg      *Config
	auth     clientAuth
	endpoint string // the URL that the request goes to
	form     url.Values
	header   http.Header
	refresh  bool   // a refresh token is redeemed
	refused  string // what an operator can do about invalid_grant; "" stands for connecting again
}

// authenticate adds what the way of client authentication needs. Token, refresh and revocation
// requests all come through here.
func (a *attempt) authenticate() error {
	for _, way := range clientAuths {
		if way.name == a.auth.name {
			return way.authenticate(a)
		}
	}
	return fmt.Errorf("client_auth %q is not known", a.auth.name)
}

// clientAuthRemedy says what an operator can do if a provider does not accept how the client has
// authenticated.
func clientAuthRemedy(name string) string {
	for _, way := range clientAuths {
		if way.name == name && way.remedy != "" {
			return way.remedy
		}
	}
	return "check client_id and client_secret, and try the other ways of client_auth: client_secret_basic, " +
		"client_secret_basic_raw, client_secret_post"
}
