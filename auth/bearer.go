// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(Bearer)) }

// Bearer authenticates requests with a fixed token, RFC 6750 §2.1: `Authorization: Bearer
// <token>`.
type Bearer struct {
	// The token. Global placeholders such as `{env.NAME}` and `{file./path}` are resolved when the
	// configuration loads; `{file.*}` is read again when it has changed.
	Token string `json:"token,omitempty"`

	OwnKeys

	static
}

// CaddyModule returns the Caddy module information.
func (*Bearer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.bearer",
		New: func() caddy.Module { return new(Bearer) },
	}
}

// Provision implements caddy.Provisioner.
func (b *Bearer) Provision(ctx caddy.Context) error {
	if err := b.check("auth bearer", b.Token); err != nil || b.Connection != "" {
		return err
	}
	text, err := value.Unseal(ctx, "auth bearer: token", b.Token)
	if err != nil {
		return err
	}
	b.literals("auth bearer: token", b.Token)
	return b.load(func() (*Credential, error) { return b.credential(text) }, text)
}

// Placement implements Method.
func (*Bearer) Placement() Placement { return Placement{Header: "Authorization"} }

func (b *Bearer) credential(text string) (*Credential, error) {
	token, err := value.ResolveLine("auth bearer: token", text)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(checkEnds("auth bearer: token", token), checkToken(token)); err != nil {
		return nil, err
	}
	return NewCredential(b.Placement(), "Bearer "+token, token), nil
}

// schemes are those of Authorization (RFC 9110 §11.1) that people copy together with a token.
var schemes = []string{"authorization:", "bearer", "basic", "token", "apikey"}

// checkToken reports a token that is none, and one that brings what auth bearer writes itself. No
// bearer token has a blank (RFC 6750 §2.1).
func checkToken(token string) error {
	const option = "auth bearer: token"
	first, _, _ := strings.Cut(token, " ")
	if slices.Contains(schemes, strings.ToLower(first)) && first != token || strings.EqualFold(token, "bearer") {
		return errors.New(option + ": it begins with a scheme, and auth bearer writes Bearer in front itself; write auth bearer {env.NAME}, with the token " +
			"alone in the variable (or, for another scheme, auth api_key Authorization {env.NAME} { prefix … })")
	}
	return value.CheckSecret(option, token)
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth bearer <token>
//	auth bearer {
//	    connection <placeholder> [trusted]
//	    verify     <path>
//	    console    <url>
//	}
func (b *Bearer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if d.CountRemainingArgs() == 0 {
		if own, err := b.unmarshalOwn("auth bearer", d); own || err != nil {
			return err
		}
	}
	if !d.Args(&b.Token) {
		return d.Errf("auth bearer: takes a token: auth bearer <token> (a {$NAME} that is not set leaves nothing)")
	}
	if err := notEmpty(d, "bearer", b.Token); err != nil {
		return err
	}
	if err := cmp.Or(checkToken(b.Token), value.Check("auth bearer: token", b.Token)); err != nil {
		return d.WrapErr(err)
	}
	return noMore(d, "bearer <token>", 1)
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the secret out of logs.
func (*Bearer) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "bearer")
	return nil
}

// Interface guards
var (
	_ Method                  = (*Bearer)(nil)
	_ caddy.Provisioner       = (*Bearer)(nil)
	_ caddyfile.Unmarshaler   = (*Bearer)(nil)
	_ zapcore.ObjectMarshaler = (*Bearer)(nil)
)
