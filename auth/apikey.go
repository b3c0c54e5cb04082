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

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(APIKey)) }

// APIKey authenticates requests with a key in a header field, a query parameter or a cookie of any
// name, or in the path.
type APIKey struct {
	// The name of the header field, query parameter or cookie, such as `X-Api-Key`. In a path it is
	// what stands in front of the key, behind the path of the base URL: with `bot` requests go to
	// `/bot<value>/…`, with `hooks/` to `/hooks/<value>/…`; empty, the key is a segment by itself.
	// No placeholders.
	Key string `json:"key,omitempty"`

	// The key itself. Global placeholders such as `{env.NAME}` and `{file./path}` are resolved
	// when the configuration loads; `{file.*}` is read again when it has changed.
	Value string `json:"value,omitempty"`

	// Where the key goes: `header`, `query`, `cookie` or `path`. Prefer a header: URLs end up in
	// the logs of the API. Default: `header`.
	In string `json:"in,omitempty"`

	// What stands before the key, with a blank between them: `<prefix> <value>`. In a header only.
	// Default: nothing. Global placeholders are resolved when the configuration loads.
	Prefix string `json:"prefix,omitempty"`

	OwnKeys

	static
	ownPrefix string // Prefix, resolved, for keys of users
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
	if k.Connection != "" {
		return k.provisionOwn(ctx)
	}
	text, prefix := k.Value, k.Prefix
	if err := value.UnsealAll(ctx, "auth api_key", &text, &prefix); err != nil {
		return err
	}
	k.literals("auth api_key: value", k.Value)
	return k.load(func() (*Credential, error) { return k.credential(text, prefix) }, text, prefix)
}

// provisionOwn is Provision where each user has a key.
func (k *APIKey) provisionOwn(ctx caddy.Context) error {
	prefix, err := value.Unseal(ctx, "auth api_key: prefix", k.Prefix)
	if err != nil || prefix == "" {
		return err
	}
	k.ownPrefix, err = value.ResolveLine("auth api_key: prefix", prefix)
	return err
}

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (k *APIKey) Validate() error {
	const option = "auth api_key"
	if err := k.check(option, k.Value); err != nil {
		return err
	}
	if k.Prefix != "" && k.In != "" && k.In != inHeader {
		return errors.New(option + ": prefix: a prefix is possible in a header only; drop it, or write in header")
	}
	switch k.In {
	case "", inHeader:
		if !strings.Contains(k.Key, "{") && !httpguts.ValidHeaderFieldName(k.Key) {
			// It is not quoted: with name and value swapped it is the secret.
			return errors.New(option + ": key: it is no valid name of a header field (RFC 9110 §5.1); the name comes first, " +
				"then the value")
		}
		return CheckFieldName(option, k.Key)
	case inQuery:
		return CheckQueryKey(option, k.Key)
	case inCookie:
		return CheckCookieName(option+": in cookie", k.Key)
	case inPath:
		return checkPathPrefix(option+": in path", k.Key)
	default:
		return fmt.Errorf("%s: in: %s is not one of %s", option, value.Quote(k.In, keyPlaces...), strings.Join(keyPlaces, ", "))
	}
}

// The values of the option in.
const (
	inHeader = "header"
	inQuery  = "query"
	inCookie = "cookie"
	inPath   = "path"
)

var keyPlaces = []string{inHeader, inQuery, inCookie, inPath}

// Placement implements Method.
func (k *APIKey) Placement() Placement {
	switch k.In {
	case inQuery:
		return Placement{Query: k.Key}
	case inCookie:
		return Placement{Cookie: k.Key}
	case inPath:
		return Placement{Path: "/" + strings.TrimLeft(k.Key, "/")}
	default:
		return Placement{Header: http.CanonicalHeaderKey(k.Key)}
	}
}

func (k *APIKey) credential(text, prefix string) (*Credential, error) {
	val, err := value.ResolveLine("auth api_key: value", text)
	if err != nil {
		return nil, err
	}
	if prefix != "" {
		if prefix, err = value.ResolveLine("auth api_key: prefix", prefix); err != nil {
			return nil, err
		}
		if err := checkEnds("auth api_key: prefix", prefix); err != nil {
			return nil, err
		}
	}
	return k.make("auth api_key: value", val, prefix)
}

// make makes the credential of a key that is resolved.
func (k *APIKey) make(option, val, prefix string) (*Credential, error) {
	if err := cmp.Or(checkEnds(option, val), k.checkValue(option, val)); err != nil {
		return nil, err
	}
	switch k.In {
	case inCookie:
		if err := checkCookieValue(option, val); err != nil {
			return nil, err
		}
	case inPath:
		if wire.EscapesBase("/"+val) || strings.Contains("/"+val+"/", "//") {
			return nil, errors.New(option + ": it has an empty segment, or a . or .. segment, so that it would lead elsewhere in a path; " +
				"write the key alone")
		}
		return NewCredential(k.Placement(), val, append(secret.Guess(strings.Split(val, "/")), val)...), nil
	}
	if prefix != "" {
		return NewCredential(k.Placement(), prefix+" "+val, val), nil
	}
	return NewCredential(k.Placement(), val), nil
}

// checkValue reports a value that is none, and one that brings its name or its prefix with it.
func (k *APIKey) checkValue(option, val string) error {
	lower, key := strings.ToLower(val), strings.ToLower(k.Key)
	separator := map[string]string{"": ":", inHeader: ":", inQuery: "=", inCookie: "="}[k.In]
	switch {
	case k.In != inPath && strings.HasPrefix(lower, key+separator),
		k.In == inPath && len(key) >= 3 && strings.HasPrefix(lower, strings.Trim(key, "/")):
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
