// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// reservedParams are parameters of token requests that have an option of their own, or are the protocol's.
var reservedParams = []string{
	"grant_type", "client_id", "client_secret", "scope", "audience", "resource", "refresh_token", "code", "redirect_uri", "code_verifier",
}

// Validate implements caddy.Validator: it checks what can be checked without resolving placeholders.
func (m *Method) Validate() error {
	oneOf := func(option, val string, possible ...string) error {
		if val != "" && !slices.Contains(possible, val) {
			return fmt.Errorf("auth oauth2: %s: %q is not one of %s", option, val, strings.Join(possible, ", "))
		}
		return nil
	}
	err := errors.Join(
		oneOf("grant", m.Grant, "client_credentials"),
		oneOf("client_auth", m.ClientAuth, authBasic, authBasicRaw, authPost, authNone),
		oneOf("token_request", m.TokenRequest, "form", "json"),
		oneOf("token_field", m.TokenField, "access_token", "id_token"),
	)
	switch {
	case err != nil:
		return err
	case m.Grant == "":
		return errors.New("auth oauth2: the grant is missing; write auth oauth2 client_credentials { … }")
	case m.TokenURL == "":
		return errors.New("auth oauth2: token_url is missing; it is the URL of the provider's token endpoint")
	case m.ClientID == "":
		return errors.New("auth oauth2: client_id is missing")
	case m.ClientSecret == "" && m.ClientAuth != authNone:
		return errors.New("auth oauth2: client_secret is missing; best write {env.NAME} (or client_auth none, for a client without a secret)")
	case m.ClientSecret != "" && m.ClientAuth == authNone:
		return errors.New("auth oauth2: client_secret is of no use with client_auth none; remove one")
	case m.ExpiresIn < 0 || time.Duration(m.ExpiresIn) > maxLifetime:
		return errors.New("auth oauth2: expires_in: it is not between 0 and ten years")
	case m.Timeout < 0:
		return errors.New("auth oauth2: timeout: it is below zero")
	case slices.Contains(m.Resource, ""):
		return errors.New("auth oauth2: resource: a URI is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(m.TokenParams)) {
		if slices.Contains(reservedParams, name) || name == "" {
			return fmt.Errorf("auth oauth2: token_param: %q has an option of its own, or belongs to the protocol", name)
		}
	}
	for _, scope := range m.Scopes {
		if strings.ContainsAny(scope, " ,\"\\") || scope == "" {
			return fmt.Errorf("auth oauth2: scopes: %q is no scope (RFC 6749 §3.3)", scope)
		}
	}
	return m.checkPlace()
}

func (m *Method) checkPlace() error {
	p := m.AddTokenTo
	switch {
	case p == nil:
	case (p.Header == "") == (p.Query == ""):
		return errors.New("auth oauth2: add_token_to: takes header [<field>] or query [<key>]")
	case p.Header != "":
		if err := auth.CheckFieldName("auth oauth2: add_token_to", p.Header); err != nil {
			return err
		}
	default:
		if m.HeaderPrefix != nil {
			return errors.New("auth oauth2: header_prefix: a prefix is possible in a header only; remove it")
		}
		return auth.CheckQueryKey("auth oauth2: add_token_to", p.Query)
	}
	if m.HeaderPrefix != nil && strings.Contains(*m.HeaderPrefix, "{") {
		return errors.New("auth oauth2: header_prefix: no placeholder is possible here; write it out")
	}
	if m.HeaderPrefix != nil && (!httpguts.ValidHeaderFieldValue(*m.HeaderPrefix) || strings.TrimSpace(*m.HeaderPrefix) != *m.HeaderPrefix) {
		return errors.New("auth oauth2: header_prefix: it has a blank at an end, or a control character")
	}
	return nil
}
