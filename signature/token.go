// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenOptions are the options of a JSON Web Token that is a credential, and no signature beside
// one. Its header has the type "JWT", which most APIs want, and it has no issuer unless one is
// given.
type TokenOptions struct {
	// The secret of an HMAC: 32 bytes or more. Global placeholders such as `{env.NAME}` and
	// `{file./path}` are resolved when the configuration loads. All files that a token is made of
	// are read again when the API refuses it.
	Secret string `json:"secret,omitempty"`

	// How the secret is written: `text`, or `hex` for the bytes that hexadecimal digits stand for.
	// Default: `text`.
	SecretEncoding string `json:"secret_encoding,omitempty"`

	// As of the signer `jwt`: `HS256` to `HS512` with `secret`; `RS256` to `RS512`, `PS256` to
	// `PS512`, `ES256` to `ES512` and `EdDSA` with `key_file`. Default: by the secret's length, or
	// by the key.
	Algorithm string `json:"algorithm,omitempty"`

	// A file with the private key, in place of `secret`: a PEM, or a JSON Web Key. The text of a
	// PEM is possible too. Global placeholders are resolved when the configuration loads.
	KeyFile string `json:"key_file,omitempty"`

	// The `kid` in the token's header. Default: that of a JSON Web Key, else none.
	KeyID string `json:"key_id,omitempty"`

	// The `iss` claim. Default: none. Global placeholders are resolved when the configuration
	// loads.
	Issuer string `json:"issuer,omitempty"`

	// The `aud` claim. Default: none. Global placeholders are resolved when the configuration
	// loads.
	Audience string `json:"audience,omitempty"`

	// How long a token is valid: `exp` is `iat` plus the lifetime. `iat` is up to ten seconds
	// ago, for an API whose clock is behind. Default: `10m`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// More claims, each a JSON string. Values may hold placeholders of the request. A claim that
	// is empty for a request is left out.
	Claims map[string]string `json:"claims,omitempty"`
}

// maxBackdate is how far the clock of an API may be behind.
const maxBackdate = 10 * time.Second

// encodingHex is a value of the option secret_encoding.
const encodingHex = "hex"

// jwt returns the signer that makes the tokens.
func (o *TokenOptions) jwt() *JWT {
	j := &JWT{
		Secret: o.Secret, Algorithm: o.Algorithm, KeyFile: o.KeyFile, KeyID: o.KeyID,
		Issuer: o.Issuer, Audience: o.Audience, Lifetime: o.Lifetime, Claims: o.Claims,
	}
	j.bare, j.hex = true, o.SecretEncoding == encodingHex
	return j
}

// Check reports what is wrong with the options and can be known without resolving placeholders.
// label is what the error begins with.
func (o *TokenOptions) Check(label string) error {
	switch o.SecretEncoding {
	case "", "text", encodingHex:
	default:
		return fmt.Errorf("%s: secret_encoding: %s is not one of text, hex", label, value.Quote(o.SecretEncoding, "text", encodingHex))
	}
	if o.SecretEncoding != "" && o.Secret == "" {
		return errors.New(label + ": secret_encoding: it is for a secret, and there is none; remove it")
	}
	return relabel(label, o.jwt().Validate())
}

// Literals returns the options whose secret is written in the configuration itself.
func (o *TokenOptions) Literals(label string) []string {
	switch {
	case value.IsLiteral(o.Secret):
		return []string{label + ": secret"}
	case value.IsLiteral(o.KeyFile) && strings.Contains(o.KeyFile, "PRIVATE KEY-----"):
		return []string{label + ": key_file"}
	}
	return nil
}

// UnmarshalOption reads one option of a block in a Caddyfile. more are the other options of the
// block.
func (o *TokenOptions) UnmarshalOption(label string, d *caddyfile.Dispenser, more ...string) error {
	switch d.Val() {
	case "secret_encoding":
		return o.unmarshalText(label, d, &o.SecretEncoding)
	case "algorithm", "key_file", "key_id", "issuer", "audience", "lifetime", "claim":
		j := o.jwt()
		err := j.unmarshalOption(d)
		o.Algorithm, o.KeyFile, o.KeyID, o.Issuer, o.Audience = j.Algorithm, j.KeyFile, j.KeyID, j.Issuer, j.Audience
		o.Lifetime, o.Claims = j.Lifetime, j.Claims
		return relabel(label, err)
	case "secret":
		return d.Errf("%s: secret: it stands in front of the block: %s <secret> { … }", label, label)
	default:
		return d.Errf("%s: %s", label, option.Unrecognized(d.Val(), append([]string{
			"secret_encoding", "algorithm", "key_file", "key_id", "issuer", "audience", "lifetime", "claim",
		}, more...)...))
	}
}

func (*TokenOptions) unmarshalText(label string, d *caddyfile.Dispenser, field *string) error {
	name := d.Val()
	if *field != "" {
		return d.Errf("%s: %s: given twice", label, name)
	}
	if !d.AllArgs(field) || *field == "" {
		return d.Errf("%s: %s: takes one value (one with blanks needs quotes)", label, name)
	}
	return nil
}

// relabel returns an error of a JWT as one of another option than signature.
func relabel(label string, err error) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "write signature {env.NAME}", "write "+label+" {env.NAME}")
	return &relabeled{err, label + strings.TrimPrefix(text, "signature")}
}

// relabeled is an error with another text.
type relabeled struct {
	error
	text string
}

// Error implements error.
func (e *relabeled) Error() string { return e.text }

// Unwrap returns the error with the text that it had.
func (e *relabeled) Unwrap() error { return e.error }

// Token makes the tokens.
type Token struct{ jwt *JWT }

// NewToken resolves the options and reads their files. label is what errors begin with.
func (o *TokenOptions) NewToken(ctx caddy.Context, label string) (*Token, error) {
	if err := o.Check(label); err != nil {
		return nil, err
	}
	j := o.jwt()
	if err := j.Provision(ctx); err != nil {
		return nil, relabel(label, err)
	}
	return &Token{j}, nil
}

// PerRequest reports whether a token depends on the request.
func (t *Token) PerRequest() bool { return len(t.jwt.current.Load().claims) > 0 }

// Sign returns a token, in a slice that the caller must not change. If no token depends on the
// request, it is the same slice for a while. repl may be nil then.
func (t *Token) Sign(repl *caddy.Replacer) ([]string, error) { return t.jwt.Sign(repl) }

// Files returns the names of the files that the options name.
func (t *Token) Files() []string { return t.jwt.Files() }

// Renewable reports whether Renew can ever change anything.
func (t *Token) Renewable() bool { return t.jwt.Renewable() }

// Renew reads the files of the options again, and reports whether other tokens are made from now
// on.
func (t *Token) Renew() (changed bool, err error) { return t.jwt.Renew() }

// Digest returns a digest of all that the tokens are made with now. Tokens of one digest differ in
// their times alone.
func (t *Token) Digest() string {
	s := t.jwt.current.Load()
	key, ok := s.key.([]byte)
	if signer, private := s.key.(crypto.Signer); !ok && private {
		key, _ = x509.MarshalPKIXPublicKey(signer.Public()) // of all kinds that are read
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(s.prefix), s.fixed, key, []byte(t.jwt.lifetime.String())} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
