// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// openHeaders are header fields of token requests whose values are no secrets.
var openHeaders = []string{"Accept", "Accept-Language", "Origin", "Referer", "User-Agent"}

func unmarshalTokenHeader(opts *Options, d *caddyfile.Dispenser) error {
	var name, val string
	if !d.AllArgs(&name, &val) {
		return d.Errf("auth oauth2: token_header: takes a header field and a value")
	}
	if err := auth.CheckFieldName("auth oauth2: token_header", name); err != nil {
		return d.WrapErr(err)
	}
	name = http.CanonicalHeaderKey(name)
	if _, ok := opts.TokenHeader[name]; ok {
		return d.Errf("auth oauth2: %s is given twice", headerLabel(name))
	}
	if opts.TokenHeader == nil {
		opts.TokenHeader = make(map[string]string)
	}
	opts.TokenHeader[name] = val
	return nil
}

// headerLabel names a token_header in errors. If name and value are swapped, the name is the
// secret.
func headerLabel(name string) string {
	known := slices.Contains(openHeaders, name) || strings.HasPrefix(name, "X-") || name == "Authorization" || strings.HasPrefix(name, "Ocp-")
	return value.Label("token_header", name, known)
}

// checkTokenHeader checks the header fields of token requests.
func checkTokenHeader(opts *Options) error {
	for _, name := range slices.Sorted(maps.Keys(opts.TokenHeader)) {
		label := "auth oauth2: " + headerLabel(name)
		val := opts.TokenHeader[name]
		err := cmp.Or(auth.CheckFieldName("auth oauth2: token_header", name), value.CheckVariable(label, val), value.CheckLine(label, val))
		way := cmp.Or(clientAuthWay(opts), provider.ClientSecretBasic)
		switch canonical := http.CanonicalHeaderKey(name); {
		case err != nil:
		case val == "":
			err = fmt.Errorf("%s: the value is empty; give one, best as {env.NAME} or {file./path}", label)
		case canonical == "Content-Type" || canonical == "Content-Encoding" || canonical == "Accept-Encoding":
			err = fmt.Errorf("%s: token_request says how a token request is encoded; remove it", label)
		case canonical == "Authorization" && strings.HasPrefix(way, provider.ClientSecretBasic):
			err = fmt.Errorf("%s: client_auth %s sends it; remove it, or write client_auth client_secret_post or none", label, way)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// literalHeaders returns the header fields of token requests whose secret stands in the
// configuration in plain text.
func literalHeaders(opts *Options) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(opts.TokenHeader)) {
		if !slices.Contains(openHeaders, http.CanonicalHeaderKey(name)) && value.IsLiteral(opts.TokenHeader[name]) {
			found = append(found, "auth oauth2: token_header "+name)
		}
	}
	return found
}
