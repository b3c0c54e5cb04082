// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(JWT)) }

const (
	defaultHeader   = "X-Appsmith-Signature"
	defaultIssuer   = "Appsmith"
	defaultLifetime = 10 * time.Minute
)

// JWT signs requests with a JSON Web Token (RFC 7519) in a header field. By default it is what
// Appsmith sends as its signature header: `X-Appsmith-Signature`, an HMAC with the claims `iss`,
// `iat` and `exp`.
//
// If no claim has a placeholder of the request, a token is used again, for a tenth of its lifetime
// at most.
type JWT struct {
	// The secret of an HMAC signature: 32 bytes or more of UTF-8. Global placeholders such as
	// `{env.NAME}` and `{file./path}` are resolved when the configuration loads. All files that a
	// signature reads are read again when one has changed.
	Secret string `json:"secret,omitempty"`

	// The header field of the token. Default: `X-Appsmith-Signature`.
	HeaderName string `json:"header,omitempty"`

	// `HS256`, `HS384`, `HS512` with `secret`; with `key_file` `RS256`, `RS384`, `RS512`,
	// `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`. Default: by the secret's
	// length, as Appsmith does: below 48 bytes `HS256`, below 64 bytes `HS384`, else `HS512`; or
	// what a JSON Web Key says; or by the key's type: `RS256`, `ES256`, `ES384` or `ES512` by the
	// curve, `EdDSA`.
	Algorithm string `json:"algorithm,omitempty"`

	// A file with the private key, in place of `secret`: a PEM in PKCS#1, PKCS#8 or SEC 1, not
	// encrypted, or a JSON Web Key. The text of such a PEM is possible too. Global placeholders
	// are resolved when the configuration loads.
	KeyFile string `json:"key_file,omitempty"`

	// The `kid` in the token's header, by which a verifier finds the key. Default: that of a
	// JSON Web Key, else none.
	KeyID string `json:"key_id,omitempty"`

	// The `iss` claim. Default: `Appsmith`. Global placeholders are resolved when the
	// configuration loads.
	Issuer string `json:"issuer,omitempty"`

	// The `aud` claim. Default: none. Global placeholders are resolved when the configuration
	// loads.
	Audience string `json:"audience,omitempty"`

	// How long a token is valid: `exp` is `iat` plus the lifetime. One second at least. Default:
	// `10m`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// More claims, each a JSON string. Values may hold placeholders of the request, such as
	// `{http.auth.user.id}`. A claim that is empty for a request is left out, and a request for
	// which a claim is not UTF-8 is refused. `iss`, `iat` and `exp` are not possible here.
	Claims map[string]string `json:"claims,omitempty"`

	bare bool // the token is a credential: see TokenOptions
	hex  bool // the secret is written in hexadecimal digits

	header   string
	lifetime time.Duration
	plain    *texts
	files    []string // that newSigning reads
	current  atomic.Pointer[signing]
}

// token is a signature that is used for more than one request.
type token struct {
	values []string
	until  time.Time
}

// CaddyModule returns the Caddy module information.
func (*JWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.signers.jwt",
		New: func() caddy.Module { return new(JWT) },
	}
}

// Literals returns the options whose secret is written in the configuration itself.
func (j *JWT) Literals() []string {
	if value.IsLiteral(j.Secret) {
		return []string{"signature: secret"}
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (j *JWT) Provision(ctx caddy.Context) error {
	if err := j.Validate(); err != nil {
		return err
	}
	t, err := j.unseal(ctx)
	if err != nil {
		return err
	}
	j.header = defaultHeader
	if j.HeaderName != "" {
		j.header = http.CanonicalHeaderKey(j.HeaderName)
	}
	j.lifetime = defaultLifetime
	if j.Lifetime != 0 {
		j.lifetime = time.Duration(j.Lifetime)
	}
	s, err := j.newSigning(t)
	if err != nil {
		return err
	}
	j.plain, j.files = t, t.files()
	j.current.Store(s)
	return nil
}

// Renewable implements Renewer.
func (j *JWT) Renewable() bool { return len(j.files) > 0 }

// Files implements Renewer.
func (j *JWT) Files() []string { return j.files }

// Renew implements Renewer.
func (j *JWT) Renew() (changed bool, err error) {
	if !j.Renewable() {
		return false, nil
	}
	s, err := j.newSigning(j.plain)
	if err != nil {
		return false, err
	}
	if s.equal(j.current.Load()) {
		return false, nil
	}
	j.current.Store(s) // this also drops the token that the old key has signed
	return true, nil
}

// texts are the values of a JWT's options, after sealed ones were opened.
type texts struct {
	secret, keyFile, keyID, issuer, audience string
	claims                                   map[string]string
}

// files returns the files that values come from, which may change without a reload.
func (t *texts) files() []string {
	names := value.Files(append(slices.Collect(maps.Values(t.claims)), t.secret, t.keyID, t.issuer, t.audience)...)
	return append(names, value.PEMFiles(t.keyFile)...)
}

func (j *JWT) unseal(ctx caddy.Context) (*texts, error) {
	t := &texts{j.Secret, j.KeyFile, j.KeyID, j.Issuer, j.Audience, maps.Clone(j.Claims)}
	if err := value.UnsealAll(ctx, "signature", &t.secret, &t.keyFile, &t.keyID, &t.issuer, &t.audience); err != nil {
		return nil, err
	}
	for name, text := range t.claims {
		plain, err := value.Unseal(ctx, "signature: "+claimLabel(name), text)
		if err != nil {
			return nil, err
		}
		t.claims[name] = plain
	}
	return t, nil
}

// Header implements Signer.
func (j *JWT) Header() string { return j.header }

// Sign implements Signer.
func (j *JWT) Sign(repl *caddy.Replacer) ([]string, error) {
	now := time.Now()
	s := j.current.Load()
	if len(s.claims) > 0 {
		return s.sign(now, j.lifetime, repl)
	}
	last := s.last.Load()
	if last != nil && now.Before(last.until) {
		return last.values, nil
	}
	// Two requests may get here at the same time, and both sign. That is cheaper than a lock.
	values, err := s.sign(now, j.lifetime, nil)
	if err != nil {
		return nil, err
	}
	s.last.Store(&token{values, now.Add(j.lifetime / 10)})
	return values, nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler. It keeps the secret out of logs.
func (j *JWT) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("signer", "jwt")
	enc.AddString("header", j.header)
	return nil
}

// Interface guards
var (
	_ Renewer                 = (*JWT)(nil)
	_ caddy.Provisioner       = (*JWT)(nil)
	_ caddy.Validator         = (*JWT)(nil)
	_ caddyfile.Unmarshaler   = (*JWT)(nil)
	_ zapcore.ObjectMarshaler = (*JWT)(nil)
)
