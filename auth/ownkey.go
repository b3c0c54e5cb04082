// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// OwnKeys are the options of a method whose users have a key of their own each. They type it into
// the console; it is kept sealed, and never shown again.
type OwnKeys struct {
	// A placeholder of the request, such as `{http.auth.user.id}`: each value of it has a key of
	// its own, in place of the one in the configuration. A request for which it has no value is
	// refused. Default: there is one key, that of the configuration.
	Connection string `json:"connection,omitempty"`

	// Allow a `connection` that clients choose themselves: a header field, a query parameter or a
	// cookie.
	ConnectionTrusted bool `json:"connection_trusted,omitempty"`

	// A path of the API, below the base URL, that is asked with a key before it is kept: a status
	// of 2xx takes it. Placeholders, such as `{http.auth.user.id}`, are those of the request by
	// which the user saves the key; each brings one segment of the path, or one value of the query.
	// Default: a key is kept as it was typed.
	Verify string `json:"verify,omitempty"`

	// The public address of the console, such as `https://gateway.example.com/connect/`, for
	// links to it. Default: that of an OAuth datasource, or what the routes of the configuration
	// say.
	Console string `json:"console,omitempty"`
}

// UserKeyed is a Method whose users may have a key of their own each.
type UserKeyed interface {
	Method

	// Own returns the options, nil if all users share the key of the configuration.
	Own() *OwnKeys

	// Typed makes the credential of what a user has typed: a user name, for Basic, and a key.
	// Nothing in it is a placeholder.
	Typed(user, key string) (*Credential, error)

	// TypesUser reports whether a user name is typed, too.
	TypesUser() bool
}

// Own returns the options, nil if there is no connection.
func (o *OwnKeys) Own() *OwnKeys {
	if o.Connection == "" {
		return nil
	}
	return o
}

// check reports what is wrong with the options. written are the secrets of the configuration.
func (o *OwnKeys) check(label string, written ...string) error {
	if o.Connection == "" {
		if o.Verify != "" || o.Console != "" {
			return errors.New(label + ": verify and console belong to connection; add it, or remove them")
		}
		return nil
	}
	for _, text := range written {
		if text != "" {
			return errors.New(label + ": connection: each user types a key of their own, so none stands here; remove the key, or connection")
		}
	}
	if err := value.CheckConnection(label+": connection", o.Connection, o.ConnectionTrusted); err != nil {
		return err
	}
	if u, err := url.Parse(o.Verify); o.Verify != "" && (err != nil || u.Host != "" || u.Fragment != "" || !strings.HasPrefix(o.Verify, "/") ||
		wire.EscapesBase(u.EscapedPath())) {
		return errors.New(label + ": verify: takes a path of the API, below the base URL, such as /me")
	}
	if err := value.CheckLine(label+": verify", o.Verify); err != nil {
		return err
	}
	if u, err := url.Parse(o.Console); o.Console != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		return errors.New(label + ": console: takes the public URL of authenticated_api_console's route, such as https://gateway.example.com/connect/")
	}
	return nil
}

// unmarshalOption reads one of the options. It returns false for any other word.
func (o *OwnKeys) unmarshalOption(label string, d *caddyfile.Dispenser) (bool, error) {
	var field *string
	switch d.Val() {
	case "connection":
		args := d.RemainingArgs()
		if o.Connection != "" || len(args) == 0 || len(args) > 2 || len(args) == 2 && args[1] != "trusted" {
			return true, d.Errf("%s: connection: takes one placeholder, such as {http.auth.user.id}, and perhaps the word trusted", label)
		}
		o.Connection, o.ConnectionTrusted = args[0], len(args) == 2
		return true, nil
	case "verify":
		field = &o.Verify
	case "console":
		field = &o.Console
	default:
		return false, nil
	}
	name := d.Val()
	if *field != "" || !d.AllArgs(field) || *field == "" {
		return true, d.Errf("%s: %s: takes one value", label, name)
	}
	return true, nil
}

// unmarshalOwn reads the block of a method that has nothing but these options. own is false if
// there is no block.
func (o *OwnKeys) unmarshalOwn(label string, d *caddyfile.Dispenser) (own bool, err error) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		own = true
		taken, err := o.unmarshalOption(label, d)
		if err != nil {
			return true, err
		}
		if !taken {
			return true, d.Errf("%s: %s", label, option.Unrecognized(d.Val(), "connection", "verify", "console"))
		}
	}
	if own && o.Connection == "" {
		return true, d.Errf("%s: connection is missing; write connection {http.auth.user.id}", label)
	}
	return own, wrapErr(d, o.check(label))
}

func wrapErr(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// checkTyped reports why what a user has typed cannot be sent.
func checkTyped(option, text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New(option + " is empty")
	}
	if !httpguts.ValidHeaderFieldValue(text) || strings.ContainsAny(text, "\t\r\n\x00") {
		return errors.New(option + " has a control character in it, a line break perhaps")
	}
	return checkEnds(option, text)
}

// Typed implements UserKeyed.
func (k *APIKey) Typed(_, key string) (*Credential, error) {
	if err := checkTyped("the key", key); err != nil {
		return nil, err
	}
	return k.make("the key", key, k.ownPrefix)
}

// TypesUser implements UserKeyed.
func (*APIKey) TypesUser() bool { return false }

// Typed implements UserKeyed.
func (b *Bearer) Typed(_, key string) (*Credential, error) {
	if err := checkTyped("the token", key); err != nil {
		return nil, err
	}
	return NewCredential(b.Placement(), "Bearer "+key, key), nil
}

// TypesUser implements UserKeyed.
func (*Bearer) TypesUser() bool { return false }

// Typed implements UserKeyed.
func (b *Basic) Typed(user, key string) (*Credential, error) {
	for option, text := range map[string]string{"the user name": user, "the password": key} {
		if text != "" && !httpguts.ValidHeaderFieldValue(text) {
			return nil, errors.New(option + " has a control character in it, a line break perhaps")
		}
	}
	switch {
	case user == "" && key == "":
		return nil, errors.New("the user name and the password are empty")
	case strings.Contains(user, ":"):
		return nil, errors.New("the user name has a colon in it, which no user name can have (RFC 7617 §2)")
	}
	return b.pair(user, key), nil
}

// TypesUser implements UserKeyed.
func (*Basic) TypesUser() bool { return true }

// Interface guards
var (
	_ UserKeyed = (*APIKey)(nil)
	_ UserKeyed = (*Bearer)(nil)
	_ UserKeyed = (*Basic)(nil)
)
