// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(JWT)) }

// JWT authenticates requests with a JSON Web Token (RFC 7519) that the gateway signs itself: the
// token is the credential, and there is no server that issues it.
//
// If no claim has a placeholder of the request, a token is used again, for a tenth of its lifetime
// at most. Otherwise each request has a token of its own, and answers are for its user only.
type JWT struct {
	signature.TokenOptions
	TokenPlace

	token *signature.Token
	last  atomic.Pointer[signedToken]
}

// signedToken is a token that is used for more than one request.
type signedToken struct {
	values     []string
	credential *Credential
}

// errNoRequest is about a credential that depends on a request, where there is none.
var errNoRequest = errors.New("the credential depends on the request")

// jwtLabel is what errors begin with.
const jwtLabel = "auth jwt"

// CaddyModule returns the Caddy module information.
func (*JWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.jwt",
		New: func() caddy.Module { return new(JWT) },
	}
}

// Provision implements caddy.Provisioner.
func (j *JWT) Provision(ctx caddy.Context) error {
	if err := j.Validate(); err != nil {
		return err
	}
	token, err := j.NewToken(ctx, jwtLabel)
	if err != nil {
		return err
	}
	j.token = token
	if !j.PerUser() {
		_, err = j.sign(nil) // what cannot be signed is told now
	}
	return err
}

// Validate implements caddy.Validator.
func (j *JWT) Validate() error {
	return cmp.Or(j.TokenOptions.Check(jwtLabel), j.TokenPlace.Check(jwtLabel))
}

// Literals returns the options whose secret is written in the configuration itself.
func (j *JWT) Literals() []string { return j.TokenOptions.Literals(jwtLabel) }

// sign returns the credential of a request.
func (j *JWT) sign(repl *caddy.Replacer) (*Credential, error) {
	values, err := j.token.Sign(repl)
	if err != nil {
		return nil, err
	}
	if last := j.last.Load(); last != nil && &last.values[0] == &values[0] {
		return last.credential, nil
	}
	c, err := j.TokenPlace.Credential(jwtLabel, values[0])
	if err != nil {
		return nil, err
	}
	if repl == nil {
		j.last.Store(&signedToken{values, c})
	}
	return c, nil
}

// Credential implements Method.
func (j *JWT) Credential(context.Context) (*Credential, error) {
	if j.PerUser() {
		return nil, errNoRequest
	}
	return j.sign(nil)
}

// Current implements Method.
func (j *JWT) Current() *Credential {
	if j.PerUser() {
		return nil
	}
	c, _ := j.sign(nil)
	return c
}

// Renewable implements Method.
func (j *JWT) Renewable() bool { return j.token.Renewable() }

// Refresh implements Method: it reads the files again.
func (j *JWT) Refresh(_ context.Context, refused *Credential) (*Credential, error) {
	return j.refresh(nil, refused)
}

// Files implements Rereader.
func (j *JWT) Files() []string { return j.token.Files() }

// Reread implements Rereader.
func (j *JWT) Reread() (changed bool, err error) { return j.token.Renew() }

func (j *JWT) refresh(repl *caddy.Replacer, refused *Credential) (*Credential, error) {
	changed, err := j.token.Renew()
	if err != nil {
		return nil, err
	}
	if repl != nil && !changed {
		return refused, nil // signed anew it would say the same
	}
	return j.sign(repl)
}

// PerUser implements PerRequest. What a token says of a request says whose the answer is.
func (j *JWT) PerUser() bool { return j.token.PerRequest() }

// SourceFor implements PerRequest.
func (j *JWT) SourceFor(repl *caddy.Replacer) (Source, bool) {
	if !j.PerUser() {
		return j, true
	}
	return &jwtFor{j, repl}, true
}

// jwtFor signs the token of one request.
type jwtFor struct {
	jwt  *JWT
	repl *caddy.Replacer
}

// Credential implements Source.
func (s *jwtFor) Credential(context.Context) (*Credential, error) { return s.jwt.sign(s.repl) }

// Current implements Source.
func (s *jwtFor) Current() *Credential {
	c, _ := s.jwt.sign(s.repl)
	return c
}

// Refresh implements Source.
func (s *jwtFor) Refresh(_ context.Context, refused *Credential) (*Credential, error) {
	return s.jwt.refresh(s.repl, refused)
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth jwt [<secret>] {
//	    secret_encoding text|hex
//	    algorithm       <alg>
//	    key_file        <key>
//	    key_id          <kid>
//	    issuer          <iss>
//	    audience        <aud>
//	    lifetime        <duration>
//	    claim           <name> <value>
//	    add_token_to    header [<field>] | query [<key>] | cookie <name>
//	    header_prefix   <prefix>
//	}
func (j *JWT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if d.NextArg() {
		j.Secret = d.Val()
		if d.NextArg() {
			return d.Errf("%s: takes one secret (one with blanks needs quotes), or none and a key_file", jwtLabel)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if taken, err := j.TokenPlace.UnmarshalOption(jwtLabel, d); taken {
			if err != nil {
				return err
			}
			continue
		}
		if err := j.TokenOptions.UnmarshalOption(jwtLabel, d, "add_token_to", "header_prefix"); err != nil {
			return err
		}
	}
	if err := j.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the secret out of logs.
func (j *JWT) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "jwt")
	return nil
}

// Interface guards
var (
	_ PerRequest              = (*JWT)(nil)
	_ Rereader                = (*JWT)(nil)
	_ Source                  = (*jwtFor)(nil)
	_ caddy.Provisioner       = (*JWT)(nil)
	_ caddy.Validator         = (*JWT)(nil)
	_ caddyfile.Unmarshaler   = (*JWT)(nil)
	_ zapcore.ObjectMarshaler = (*JWT)(nil)
)
