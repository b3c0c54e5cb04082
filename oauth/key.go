// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

// maxConnection bounds the name of a connection, in bytes.
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

// PerUser reports whether each value of the option connection has a connection of its own, in
// place of a shared connection.
func (opts *Options) PerUser() bool { return opts.Connection != "" }

// Key returns the name of the connection that a request uses: "" for the shared connection. It
// returns false if the option connection has no value for the request.
func (opts *Options) Key(repl *caddy.Replacer) (key string, ok bool) {
	if opts.connection == nil {
		return "", true
	}
	key, ok = opts.connection.ExpandAll(repl)
	return key, ok && CheckConnection(key) == nil
}
