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

func init() { caddy.RegisterModule(new(HTTPMessage)) }

const (
	defaultMessageLabel    = "sig1"
	defaultMessageLifetime = 5 * time.Minute
	botTag                 = "web-bot-auth"
	agentField             = "signature-agent"
	digestField            = "content-digest"
)

// HTTPMessage signs requests with HTTP Message Signatures (RFC 9421), in the fields `Signature`
// and `Signature-Input`, and their bodies with a `Content-Digest` (RFC 9530).
//
// A body that is covered is waited for, up to the size of `replay`; a request with a larger one is
// refused.
type HTTPMessage struct {
	// A file with the private key: a PEM in PKCS#1, PKCS#8 or SEC 1, or a JSON Web Key. The text
	// of one is possible too. Global placeholders are resolved when the configuration loads; the
	// file is read again when the API refuses a request.
	Key string `json:"key,omitempty"`

	// The secret of an HMAC, in place of `key`: 32 bytes or more. Global placeholders are resolved
	// when the configuration loads.
	Secret string `json:"secret,omitempty"`

	// The `keyid` parameter, by which a verifier finds the key. Global placeholders are resolved
	// when the configuration loads. Default: that of a JSON Web Key, else the key's thumbprint
	// (RFC 7638); with `secret` none.
	KeyID string `json:"key_id,omitempty"`

	// One of `ed25519`, `ecdsa-p256-sha256`, `ecdsa-p384-sha384`, `rsa-pss-sha512`,
	// `rsa-v1_5-sha256`, `hmac-sha256`. Default: by the key; for RSA `rsa-pss-sha512`.
	Algorithm string `json:"algorithm,omitempty"`

	// What the signature covers: names of header fields, and the derived components `@method`,
	// `@target-uri`, `@authority`, `@scheme`, `@request-target`, `@path`, `@query` and
	// `@query-param;name="…"`. A field may have the parameter `;key="…"` or `;bs`. What a request
	// does not have is left out. Default: `@method @authority @path @query content-type
	// content-digest`; with `agent`: `@authority`.
	Components []string `json:"components,omitempty"`

	// The hash of `Content-Digest`: `sha-256` or `sha-512`. Default: `sha-256`.
	Digest string `json:"digest,omitempty"`

	// The signature's name in both fields. Default: `sig1`.
	Label string `json:"label,omitempty"`

	// The `tag` parameter, which says what the signature is for. Global placeholders are resolved
	// when the configuration loads. Default: none; with `agent` `web-bot-auth`.
	Tag string `json:"tag,omitempty"`

	// How long a signature is valid: `expires` is `created` plus the lifetime. One second at
	// least. Default: `5m`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// Whether each signature has a `nonce` of its own. Default: false.
	Nonce bool `json:"nonce,omitempty"`

	// The https URL of the gateway as a bot (Web Bot Auth): it is sent and signed as
	// `Signature-Agent`. Below it, `/.well-known/http-message-signatures-directory` has the public
	// key. Default: none.
	Agent string `json:"agent,omitempty"`

	texts    *messageTexts
	parts    []component
	fields   []string
	hash     string // of Content-Digest; "" if it is not covered
	label    string
	lifetime time.Duration
	files    []string
	current  atomic.Pointer[messageKey]
}

// CaddyModule returns the Caddy module information.
func (*HTTPMessage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.signers.http_message",
		New: func() caddy.Module { return new(HTTPMessage) },
	}
}

// Literals returns the options whose secret is written in the configuration itself.
func (m *HTTPMessage) Literals() (options []string) {
	if value.IsLiteral(m.Secret) {
		options = append(options, "signature: secret")
	}
	if isWrittenKey(m.Key) {
		options = append(options, "signature: key")
	}
	return options
}

// Provision implements caddy.Provisioner.
func (m *HTTPMessage) Provision(ctx caddy.Context) error {
	if err := m.Validate(); err != nil {
		return err
	}
	t := &messageTexts{m.Key, m.Secret, m.KeyID, m.Tag, m.Agent}
	if err := value.UnsealAll(ctx, "signature", &t.key, &t.secret, &t.keyID, &t.tag, &t.agent); err != nil {
		return err
	}
	m.label, m.lifetime = defaultMessageLabel, defaultMessageLifetime
	if m.Label != "" {
		m.label = m.Label
	}
	if m.Lifetime != 0 {
		m.lifetime = time.Duration(m.Lifetime)
	}
	var err error
	if m.parts, err = m.covered(); err != nil {
		return err
	}
	m.provisionFields()
	key, err := t.load(m.Algorithm)
	if err != nil {
		return err
	}
	m.texts, m.files = t, t.files()
	m.current.Store(key)
	return nil
}

// provisionFields finds out which fields the signer sets.
func (m *HTTPMessage) provisionFields() {
	m.fields = []string{"Signature", "Signature-Input"}
	if slices.ContainsFunc(m.parts, func(c component) bool { return c.name == digestField }) {
		m.fields = append(m.fields, "Content-Digest")
		m.hash = "sha-256"
		if m.Digest != "" {
			m.hash = m.Digest
		}
	}
	if m.Agent != "" {
		m.fields = append(m.fields, http.CanonicalHeaderKey(agentField))
	}
}

// Renewable implements Renewer.
func (m *HTTPMessage) Renewable() bool { return len(m.files) > 0 }

// Files implements Renewer.
func (m *HTTPMessage) Files() []string { return m.files }

// Renew implements Renewer.
func (m *HTTPMessage) Renew() (changed bool, err error) {
	if !m.Renewable() {
		return false, nil
	}
	key, err := m.texts.load(m.Algorithm)
	if err != nil {
		return false, err
	}
	if key.equal(m.current.Load()) {
		return false, nil
	}
	m.current.Store(key)
	return true, nil
}

// Fields implements RequestSigner.
func (m *HTTPMessage) Fields() []string { return m.fields }

// Params implements RequestSigner.
func (*HTTPMessage) Params() []string { return nil }

// SignRequest implements RequestSigner.
func (m *HTTPMessage) SignRequest(out *Outgoing) ([]string, error) {
	now := time.Now().Unix()
	signed, err := m.sign(out, parameters{created: now, expires: now + int64(m.lifetime/time.Second)})
	if err != nil {
		return nil, err
	}
	maps.Copy(out.Header, signed)
	return signed["Signature"], nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler. It keeps the key out of logs.
func (m *HTTPMessage) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("signer", "http_message")
	enc.AddString("label", m.label)
	return nil
}

// Interface guards
var (
	_ RequestSigner           = (*HTTPMessage)(nil)
	_ Renewer                 = (*HTTPMessage)(nil)
	_ caddy.Provisioner       = (*HTTPMessage)(nil)
	_ caddy.Validator         = (*HTTPMessage)(nil)
	_ caddyfile.Unmarshaler   = (*HTTPMessage)(nil)
	_ zapcore.ObjectMarshaler = (*HTTPMessage)(nil)
)
