// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(JWT)) }

const (
	defaultHeader   = "X-Appsmith-Signature"
	defaultIssuer   = "Appsmith"
	defaultLifetime = 10 * time.Minute
)

// JWT signs requests with a JSON Web Token (RFC 7519) in a header field. By default it is what Appsmith sends as its
// signature header: `X-Appsmith-Signature`, an HMAC with the claims `iss`, `iat` and `exp`.
//
// Without per-request placeholders in its claims a token is used again, for a tenth of its lifetime at most.
type JWT struct {
	// The secret of an HMAC signature: 32 bytes or more of UTF-8. Global placeholders such as `{env.NAME}` and
	// `{file./path}` are resolved when the configuration loads. All files that a signature reads are read again when the
	// API refuses a request.
	Secret string `json:"secret,omitempty"`

	// The header field of the token. Default: `X-Appsmith-Signature`.
	HeaderName string `json:"header,omitempty"`

	// One of `HS256`, `HS384`, `HS512` (with `secret`), `RS256`, `PS256`, `ES256`, `EdDSA` (with `key_file`). Default:
	// by the secret's length, as Appsmith does: below 48 bytes `HS256`, below 64 bytes `HS384`, else `HS512`; or by the
	// key's type: `RS256`, `ES256`, `EdDSA`.
	Algorithm string `json:"algorithm,omitempty"`

	// A PEM file with the private key, in the place of `secret`: PKCS#1, PKCS#8 or SEC 1, not encrypted. The text of
	// one is possible too. Global placeholders are resolved when the configuration loads.
	KeyFile string `json:"key_file,omitempty"`

	// The `kid` in the token's header, by which a verifier finds the key. Default: none.
	KeyID string `json:"key_id,omitempty"`

	// The `iss` claim. Default: `Appsmith`. Global placeholders are resolved when the configuration loads.
	Issuer string `json:"issuer,omitempty"`

	// The `aud` claim. Default: none. Global placeholders are resolved when the configuration loads.
	Audience string `json:"audience,omitempty"`

	// How long a token is valid: `exp` is `iat` and this. One second at least. Default: `10m`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// More claims, each a JSON string. Values may hold placeholders of the request, such as `{http.auth.user.id}`; one
	// that is empty then is left out, and a request for which one is not UTF-8 is refused. `iss`, `iat` and `exp` are not possible here.
	Claims map[string]string `json:"claims,omitempty"`

	header    string
	lifetime  time.Duration
	plain     *texts
	renewable bool
	current   atomic.Pointer[signing]
}

// token is a signature that is used again.
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

// Validate implements caddy.Validator: it checks what can be checked without resolving placeholders.
func (j *JWT) Validate() error {
	if err := j.checkKeySource(); err != nil {
		return err
	}
	if err := checkHeaderName(j.HeaderName); err != nil {
		return err
	}
	if j.Lifetime != 0 && time.Duration(j.Lifetime) < time.Second {
		return errors.New("signature: lifetime: less than a second; a token's times are in seconds")
	}
	for _, name := range slices.Sorted(maps.Keys(j.Claims)) {
		switch {
		case name == "":
			return errors.New("signature: claim: the name is empty")
		case name == "iss" || name == "iat" || name == "exp":
			return fmt.Errorf("signature: claim: %s is made by the signature itself; see issuer and lifetime", name)
		case name == "aud" && j.Audience != "":
			return errors.New("signature: claim: aud is given by audience already; remove one")
		}
		if err := value.CheckLiteral("signature: claim", name); err != nil {
			return err
		}
		if err := value.Check("signature: "+claimLabel(name), j.Claims[name]); err != nil {
			return err
		}
	}
	return nil
}

func (j *JWT) checkKeySource() error {
	hmac := strings.HasPrefix(j.Algorithm, "HS")
	switch {
	case j.Algorithm != "" && !slices.Contains(algorithms, j.Algorithm):
		return fmt.Errorf("signature: algorithm: %s is not one of %s", value.Quote(j.Algorithm, algorithms...), strings.Join(algorithms, ", "))
	case j.Secret == "" && j.KeyFile == "":
		return errors.New("signature: a secret is missing (or, for RS256, PS256, ES256 and EdDSA, a key_file); " +
			"write signature {env.NAME}")
	case value.CheckWritten("signature: secret", j.Secret) != nil:
		return value.CheckWritten("signature: secret", j.Secret)
	case j.Secret != "" && j.KeyFile != "":
		return errors.New("signature: both a secret and a key_file are given; remove one")
	case j.KeyFile != "" && hmac:
		return fmt.Errorf("signature: algorithm: %s takes a secret, not a key_file", j.Algorithm)
	case j.Secret != "" && j.Algorithm != "" && !hmac:
		return fmt.Errorf("signature: algorithm: %s takes a key_file, not a secret", j.Algorithm)
	case j.Secret != "" && !strings.ContainsAny(j.Secret, `{\`) && !value.IsSealed(j.Secret):
		return checkSecret(j.Secret)
	}
	return nil
}

func checkHeaderName(name string) error {
	if name == "" {
		return nil
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("signature: header: %s is no valid name of a header field", value.Shape(name))
	}
	if canonical := http.CanonicalHeaderKey(name); canonical == "Host" || wire.IsConnectionField(canonical) {
		return fmt.Errorf("signature: header: %s belongs to the connection and cannot carry a signature", name)
	}
	return nil
}

// Literals returns the options whose secret stands in the configuration as it is.
func (j *JWT) Literals() []string {
	if value.IsLiteral(j.Secret) {
		return []string{"signature: secret"}
	}
	return nil
}

// claimLabel names a claim in errors, if it is one of RFC 7519 §4.1 or OpenID Connect.
func claimLabel(name string) string {
	return value.Label("claim", name, slices.Contains([]string{"sub", "aud", "jti", "nbf", "email", "name", "groups", "roles", "scope", "tenant"}, name))
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
	j.plain, j.renewable = t, t.readFile()
	j.current.Store(s)
	return nil
}

// Renewable implements Renewer.
func (j *JWT) Renewable() bool { return j.renewable }

// Renew implements Renewer.
func (j *JWT) Renew() (changed bool, err error) {
	if !j.renewable {
		return false, nil
	}
	s, err := j.newSigning(j.plain)
	if err != nil {
		return false, err
	}
	if s.equal(j.current.Load()) {
		return false, nil
	}
	j.current.Store(s) // and with it goes the token that the old key has signed
	return true, nil
}

// texts are the values of a JWT with the sealed ones opened.
type texts struct {
	secret, keyFile, keyID, issuer, audience string
	claims                                   map[string]string
}

// readFile reports whether any of the values may change while the configuration lives.
func (t *texts) readFile() bool {
	return t.keyFile != "" && value.NamesFile(t.keyFile) ||
		slices.ContainsFunc([]string{t.secret, t.keyID, t.issuer, t.audience}, value.ReadsFile) ||
		slices.ContainsFunc(slices.Collect(maps.Values(t.claims)), value.ReadsFile)
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

// ErrNotUTF8 says that a text cannot be signed.
var ErrNotUTF8 = errors.New("the value is not UTF-8")

// encodeText returns a text as JSON. A text that is not UTF-8 has no JSON (RFC 8259 §8.1): encoding/json would put U+FFFD in
// the place of each byte that it does not know, and so make one signed name of many users'.
func encodeText(text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, ErrNotUTF8
	}
	encoded, err := json.Marshal(text)
	if err != nil {
		return nil, fmt.Errorf("cannot be encoded: %w", err)
	}
	return encoded, nil
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
	// Two requests may both come by here, and both sign. That is cheaper than a lock for all.
	values, err := s.sign(now, j.lifetime, nil)
	if err != nil {
		return nil, err
	}
	s.last.Store(&token{values, now.Add(j.lifetime / 10)})
	return values, nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the secret out of logs.
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
