// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// connectionFields belong to one connection or to the framing of a message (RFC 9110 §7.6.1, RFC 9112 §6). The proxy
// and Go's client write them; nobody else may.
var connectionFields = map[string]struct{}{
	"Connection":          {},
	"Content-Length":      {},
	"Expect":              {},
	"Keep-Alive":          {},
	"Proxy-Authenticate":  {},
	"Proxy-Authorization": {},
	"Proxy-Connection":    {},
	"Te":                  {},
	"Trailer":             {},
	"Transfer-Encoding":   {},
	"Upgrade":             {},
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
	if _, ok := connectionFields[canonical]; ok {
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
	if namesOf(key)[0].empty() {
		return fmt.Errorf("%s: %s is no name of a query parameter", option, value.Shape(key))
	}
	return value.CheckLiteral(paramLabel(option, key), key)
}

// commonFields are fields that errors may name, besides those that begin with X-.
var commonFields = []string{
	"Accept", "Accept-Language", "Api-Key", "Apikey", "Authorization", "Content-Type", "Cookie", "Host", "Idempotency-Key", "Origin", "Prefer",
	"Referer", "Tenant", "User-Agent",
}

// fieldLabel names the line of a header field in errors. With name and value the wrong way round the name is the secret.
func fieldLabel(option, name string) string { return value.Label(option, name, isKnownField(name)) }

func isKnownField(name string) bool {
	rest, known := strings.CutPrefix(strings.ToLower(name), "x-")
	for i := range len(rest) {
		known = known && ('a' <= rest[i] && rest[i] <= 'z' || rest[i] == '-')
	}
	return known || slices.Contains(commonFields, http.CanonicalHeaderKey(name))
}

// quoteField is value.Quote of the name of a header field.
func quoteField(name string, known []string) string {
	if isKnownField(name) {
		known = []string{name}
	}
	return value.Quote(name, known...)
}

// commonParams are query parameters that errors may name.
var commonParams = []string{"api_key", "apikey", "format", "key", "lang", "limit", "page", "per_page", "tenant", "token", "units", "version"}

// paramLabel is fieldLabel of a query parameter.
func paramLabel(option, key string) string {
	return value.Label(option, key, slices.Contains(commonParams, key))
}

// checkEnds refuses blanks around a value: they come from a slip of the hand, and HTTP drops them.
func checkEnds(option, val string) error {
	if strings.TrimSpace(val) != val {
		return errors.New(option + ": the value begins or ends with a blank; remove it")
	}
	return nil
}

// notEmpty refuses an argument that is written as "", or that a {$NAME} has left empty.
func notEmpty(d *caddyfile.Dispenser, method string, args ...string) error {
	if slices.Contains(args, "") {
		return d.Errf("auth %s: an argument is empty; give a value, best as {env.NAME} or {file./path} (a {$NAME} that is "+
			"not set leaves nothing)", method)
	}
	return nil
}

// noMore reports what is left of a subdirective whose arguments have been read.
func noMore(d *caddyfile.Dispenser, syntax string, args int) error {
	if args == 0 {
		d.Next() // consume the method's name
	}
	if d.NextArg() {
		return d.Errf("auth %s: too many arguments (a value with blanks needs quotes)", syntax)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("auth %s: %s", syntax, option.Unrecognized(d.Val()))
	}
	return nil
}
