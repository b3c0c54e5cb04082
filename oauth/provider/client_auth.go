// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"net/http"
	"net/url"
)

// The ways of client authentication that callers name. ClientAuths has all of them.
const (
	ClientSecretBasic = "client_secret_basic"
	ClientAuthNone    = "none"
)

// clientAuths has one line for each way in which a client can authenticate. Each has a file of its
// own, client_auth_*.go.
var clientAuths = []struct {
	name         string
	authenticate func(*attempt) error
}{
	{ClientSecretBasic, clientSecretBasic},
	{"client_secret_basic_raw", clientSecretBasicRaw},
	{"client_secret_post", clientSecretPost},
	{ClientAuthNone, clientAuthNone},
}

// ClientAuths returns the names of all ways of client authentication, the default first.
func ClientAuths() []string {
	names := make([]string, len(clientAuths))
	for i, way := range clientAuths {
		names[i] = way.name
	}
	return names
}

// attempt is one request to an endpoint before it is encoded. A way of client authentication adds
// to the form or to the header. It is called for each attempt, so what it adds may be good once.
type attempt struct {
	cfg      *Config
	endpoint string // the URL that the request goes to
	form     url.Values
	header   http.Header
}

// authenticate adds what a way of client authentication needs. Token, refresh and revocation
// requests all come through here.
func (a *attempt) authenticate(name string) error {
	if name == "" {
		name = ClientSecretBasic
	}
	for _, way := range clientAuths {
		if way.name == name {
			return way.authenticate(a)
		}
	}
	return fmt.Errorf("client_auth %q is not known", name)
}
