// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

// maxConnection bounds the name of a connection.
const maxConnection = 1024

// CheckConnection reports why a text cannot be the name of a user's own connection.
func CheckConnection(key string) error {
	switch {
	case key == "":
		return errors.New("the connection is empty")
	case len(key) > maxConnection:
		return fmt.Errorf("the connection's name is longer than %d bytes", maxConnection)
	case !utf8.ValidString(key):
		return errors.New("the connection's name is not UTF-8")
	}
	return nil
}

// Datasource returns the name of the datasource that the method was bound to.
func (m *Method) Datasource() string { return m.environment.Datasource }

// Interactive reports whether accounts are connected in a browser: the grant authorization_code.
func (m *Method) Interactive() bool { return m.Grant == grantAuthorizationCode }

// PerUser reports whether there is one connection for each value of the option connection, in the place of a shared one.
func (m *Method) PerUser() bool { return m.Connection != "" }

// Key returns whose connection a request uses: "" for the shared one. It returns false if the option connection has no
// value for the request.
func (m *Method) Key(repl *caddy.Replacer) (key string, ok bool) {
	if m.connection == nil {
		return "", true
	}
	key, ok = m.connection.ExpandAll(repl)
	return key, ok && CheckConnection(key) == nil
}

// Console returns the public address of the console, with a slash at its end: what redirect_url has before "callback". It is
// empty unless the method is interactive.
func (m *Method) Console() string { return strings.TrimSuffix(m.redirect, "callback") }

// Redirect returns the redirect URL to register at the provider, resolved.
func (m *Method) Redirect() string { return m.redirect }

// IssuedBy returns the issuer that a callback must name (RFC 9207), or "".
func (m *Method) IssuedBy() string { return m.issuer }
