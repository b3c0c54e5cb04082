// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// IsHop reports whether a header field, by its canonical name, belongs to one connection, and so
// ends at a proxy (RFC 9110 §7.6.1).
func IsHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// IsConnectionField reports whether a header field, by its canonical name, belongs to one
// connection or to the framing of a message (RFC 9112 §6). The proxy and Go's client write these
// fields; nobody else may.
func IsConnectionField(name string) bool {
	return name == "Content-Length" || name == "Expect" || IsHop(name)
}

// PlainName reports whether a name consists of letters, digits and dashes.
func PlainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Hyphenated returns the canonical name of a header field with - for every byte that is no letter
// and no digit. CGI and WSGI turn - and _ into _, so that X_Api_Key arrives as X-Api-Key; some
// servers (lighttpd, older Apache) do so with all such bytes.
func Hyphenated(name string) string {
	return http.CanonicalHeaderKey(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, name))
}

// CheckFieldName reports why a header field of that name cannot be set for an API.
func CheckFieldName(option, name string) error {
	if strings.Contains(name, "{") {
		return fmt.Errorf("%s: no placeholder is possible in the name of a header field; write the name out", option)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%s: %s is no valid name of a header field; letters, digits and - are (RFC 9110 §5.1)", option, value.Shape(name))
	}
	canonical := http.CanonicalHeaderKey(name)
	if canonical == "Host" {
		return fmt.Errorf("%s: Host comes from the base URL; to send another one, use the proxy's header_up Host <host>", option)
	}
	if IsConnectionField(canonical) {
		return fmt.Errorf("%s: %s belongs to the connection, not to the request, so it never reaches an API "+
			"(RFC 9110 §7.6.1); remove it", option, canonical)
	}
	return nil
}

// CheckQueryKey reports why a query parameter of that name cannot be set for an API.
func CheckQueryKey(option, key string) error {
	if key == "" {
		return fmt.Errorf("%s: the name of the query parameter is empty", option)
	}
	if NewParamNames(key)[0].empty() {
		return fmt.Errorf("%s: %s is no name of a query parameter", option, value.Shape(key))
	}
	return value.CheckLiteral(ParamLabel(option, key), key)
}

// commonFields are fields that errors may name, besides those that begin with X-.
var commonFields = []string{
	"Accept", "Accept-Language", "Api-Key", "Apikey", "Authorization", "Content-Type", "Cookie", "Host", "Idempotency-Key", "Origin", "Prefer",
	"Referer", "Tenant", "User-Agent",
}

// FieldLabel names the line of a header field in errors. An unknown name is left out: if name and
// value are swapped, the name is the secret.
func FieldLabel(option, name string) string { return value.Label(option, name, isKnownField(name)) }

func isKnownField(name string) bool {
	rest, known := strings.CutPrefix(strings.ToLower(name), "x-")
	for i := range len(rest) {
		known = known && ('a' <= rest[i] && rest[i] <= 'z' || rest[i] == '-')
	}
	return known || slices.Contains(commonFields, http.CanonicalHeaderKey(name))
}

// QuoteField is value.Quote for the name of a header field.
func QuoteField(name string, known []string) string {
	if isKnownField(name) {
		known = []string{name}
	}
	return value.Quote(name, known...)
}

// commonParams are query parameters that errors may name.
var commonParams = []string{"api_key", "apikey", "format", "key", "lang", "limit", "page", "per_page", "tenant", "token", "units", "version"}

// ParamLabel is FieldLabel for a query parameter.
func ParamLabel(option, key string) string {
	return value.Label(option, key, slices.Contains(commonParams, key))
}
