// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"encoding/base64"
	"errors"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(Basic)) }

// Basic authenticates requests with a user name and a password, RFC 7617:
// `Authorization: Basic base64(username:password)`.
type Basic struct {
	// The user name, without a colon. Empty where the API wants the password alone. Global
	// placeholders such as `{env.NAME}` and `{file./path}` are resolved when the configuration
	// loads; `{file.*}` is read again when it has changed. A placeholder that is
	// empty is an error.
	Username string `json:"username,omitempty"`

	// The password. Empty where the API wants the user name alone. Placeholders as in `username`.
	Password string `json:"password,omitempty"`

	OwnKeys

	static
}

// CaddyModule returns the Caddy module information.
func (*Basic) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.basic",
		New: func() caddy.Module { return new(Basic) },
	}
}

// Provision implements caddy.Provisioner.
func (b *Basic) Provision(ctx caddy.Context) error {
	if err := b.check("auth basic", b.Username, b.Password); err != nil || b.Connection != "" {
		return err
	}
	username, password := b.Username, b.Password
	if err := value.UnsealAll(ctx, "auth basic", &username, &password); err != nil {
		return err
	}
	b.literals("auth basic: password", b.Password)
	return b.load(func() (*Credential, error) { return b.credential(username, password) }, username, password)
}

// Placement implements Method.
func (*Basic) Placement() Placement { return Placement{Header: "Authorization"} }

func (b *Basic) credential(username, password string) (*Credential, error) {
	if username == "" && password == "" {
		return nil, errNoPair
	}
	user, err := resolveSide("auth basic: username", username)
	if err != nil {
		return nil, err
	}
	if err := value.CheckSecret("auth basic: username", user); err != nil {
		return nil, err
	}
	if strings.Contains(user, ":") {
		// RFC 7617 §2: everything after the first colon would be taken for the password.
		return nil, errors.New("auth basic: username: a user name cannot have a colon in it (RFC 7617 §2)")
	}
	pass, err := resolveSide("auth basic: password", password)
	if err != nil {
		return nil, err
	}
	if err := value.CheckSecret("auth basic: password", pass); err != nil {
		return nil, err
	}
	return b.pair(user, pass), nil
}

// pair makes the credential of a user name and a password.
func (b *Basic) pair(user, pass string) *Credential {
	pair := base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
	secrets := []string{strings.TrimRight(pair, "="), pass}
	if len(pass) < secret.ShortestInside && len(user) >= secret.ShortestGuess {
		// The user name is the key, and the password is there because there must be one.
		secrets = append(secrets, user)
	}
	return NewCredential(b.Placement(), "Basic "+pair, secrets...)
}

var errNoPair = errors.New("auth basic: the user name and the password are both empty; give one at least, best as " +
	"{env.NAME} or {file./path}")

// resolveSide resolves the user name or the password. RFC 7617 §2 lets either be empty, and many
// APIs want just that: their key is the one side. So a side that is written as empty is meant,
// while a placeholder that is empty is a secret that is missing.
func resolveSide(option, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return value.ResolveLine(option, text)
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth basic <username> <password>
//	auth basic {
//	    connection <placeholder> [trusted]
//	    verify     <path>
//	    console    <url>
//	}
func (b *Basic) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if d.CountRemainingArgs() == 0 {
		if own, err := b.unmarshalOwn("auth basic", d); own || err != nil {
			return err
		}
	}
	if !d.Args(&b.Username, &b.Password) {
		return d.Errf("auth basic: takes a user name and a password: auth basic <username> <password> (a {$NAME} that is not set leaves nothing)")
	}
	if b.Username == "" && b.Password == "" {
		return d.WrapErr(errNoPair)
	}
	if err := cmp.Or(value.CheckWritten("auth basic: username", b.Username), value.CheckWritten("auth basic: password", b.Password)); err != nil {
		return d.WrapErr(err)
	}
	return noMore(d, "basic <username> <password>", 2)
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the secrets out of logs.
func (*Basic) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "basic")
	return nil
}

// Interface guards
var (
	_ Method                  = (*Basic)(nil)
	_ caddy.Provisioner       = (*Basic)(nil)
	_ caddyfile.Unmarshaler   = (*Basic)(nil)
	_ zapcore.ObjectMarshaler = (*Basic)(nil)
)
