// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(APIKey)) }

// APIKey authenticates requests with a key in a header field or in a query parameter of any name.
type APIKey struct {
	// The name of the header field or query parameter, such as `X-Api-Key`. No placeholders.
	Key string `json:"key,omitempty"`

	// The key itself. Global placeholders such as `{env.NAME}` and `{file./path}` are resolved
	// when the configuration loads; `{file.*}` is read again when it has changed.
	Value string `json:"value,omitempty"`

	// Where the key goes: `header` or `query`. Prefer a header: URLs end up in logs. Default:
	// `header`.
	In string `json:"in,omitempty"`

	// What stands before the key, with a blank between them: `<prefix> <value>`. In a header only.
	// Default: nothing. Global placeholders are resolved when the configuration loads.
	Prefix string `json:"prefix,omitempty"`

	static
}

// CaddyModule returns the Caddy module information.
func (*APIKey) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.api_key",
		New: func() caddy.Module { return new(APIKey) },
	}
}

// Provision implements caddy.Provisioner.
func (k *APIKey) Provision(ctx caddy.Context) error {
	if err := k.Validate(); err != nil {
		return err
	}
	text, prefix := k.Value, k.Prefix
	if err := value.UnsealAll(ctx, "auth api_key", &text, &prefix); err != nil {
		return err
	}
	k.literals("auth api_key: value", k.Value)
	return k.load(func() (*Credential, error) { return k.credential(text, prefix) }, text, prefix)
}

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (k *APIKey) Validate() error {
	const option = "auth api_key"
	switch k.In {
	case "", "header":
		if !strings.Contains(k.Key, "{") && !httpguts.ValidHeaderFieldName(k.Key) {
			// It is not quoted: with name and value swapped it is the secret.
			return errors.New(option + ": key: it is no valid name of a header field (RFC 9110 §5.1); the name comes first, " +
				"then the value")
		}
		if err := CheckFieldName(option, k.Key); err != nil {
			return err
		}
	case "query":
		if err := CheckQueryKey(option, k.Key); err != nil {
			return err
		}
		if k.Prefix != "" {
			return errors.New(option + ": prefix: a prefix is possible in a header only; drop it, or write in header")
		}
	default:
		return fmt.Errorf("%s: in: %s is not one of header, query", option, value.Quote(k.In, "header", "query"))
	}
	return nil
}

// Placement implements Method.
func (k *APIKey) Placement() Placement {
	if k.In == "query" {
		return Placement{Query: k.Key}
	}
	return Placement{Header: http.CanonicalHeaderKey(k.Key)}
}

func (k *APIKey) credential(text, prefix string) (*Credential, error) {
	val, err := value.ResolveLine("auth api_key: value", text)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(checkEnds("auth api_key: value", val), k.checkValue(val)); err != nil {
		return nil, err
	}
	if prefix != "" {
		if prefix, err = value.ResolveLine("auth api_key: prefix", prefix); err != nil {
			return nil, err
		}
		if err := checkEnds("auth api_key: prefix", prefix); err != nil {
			return nil, err
		}
		return NewCredential(k.Placement(), prefix+" "+val, val), nil
	}
	return NewCredential(k.Placement(), val), nil
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	auth api_key <key> <value> {
//	    in     header|query
//	    prefix <prefix>
//	}
func (k *APIKey) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the method's name
	if !d.Args(&k.Key, &k.Value) || d.NextArg() {
		return d.Errf("auth api_key: takes the name and the value of a key: auth api_key <key> <value> (a {$NAME} that is not set leaves nothing)")
	}
	if err := notEmpty(d, "api_key", k.Key, k.Value); err != nil {
		return err
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var field *string
		switch d.Val() {
		case "in":
			field = &k.In
		case "prefix":
			field = &k.Prefix
		default:
			return d.Errf("auth api_key: %s", option.Unrecognized(d.Val(), "in", "prefix"))
		}
		option := d.Val()
		if *field != "" {
			return d.Errf("auth api_key: %s: given twice", option)
		}
		if !d.AllArgs(field) {
			return d.Errf("auth api_key: %s: takes one value", option)
		}
	}
	if err := cmp.Or(k.Validate(), k.checkValue(k.Value), value.Check("auth api_key: value", k.Value)); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// checkValue reports a value that is none, and one that brings its name or its prefix with it.
func (k *APIKey) checkValue(val string) error {
	const option = "auth api_key: value"
	lower, key := strings.ToLower(val), strings.ToLower(k.Key)
	switch {
	case k.In != "query" && strings.HasPrefix(lower, key+":") || k.In == "query" && strings.HasPrefix(lower, key+"="):
		return errors.New(option + ": it begins with the name of the key, which is written in front of it anyway; write the value alone")
	case k.Prefix != "" && strings.HasPrefix(lower, strings.ToLower(k.Prefix)+" "):
		return errors.New(option + ": it begins with the prefix, which is written in front of it anyway; write the value alone, or remove prefix")
	}
	return value.CheckSecret(option, val)
}

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the secret out of logs.
func (k *APIKey) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", "api_key")
	enc.AddString("key", k.Key)
	return nil
}

// Interface guards
var (
	_ Method                  = (*APIKey)(nil)
	_ caddy.Provisioner       = (*APIKey)(nil)
	_ caddy.Validator         = (*APIKey)(nil)
	_ caddyfile.Unmarshaler   = (*APIKey)(nil)
	_ zapcore.ObjectMarshaler = (*APIKey)(nil)
)
