// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// pair is a name and a value.
type pair struct{ key, value string }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// auth writes the authentication, with its block.
func (a *api) auth(block []line, words ...string) {
	a.hasAuth = true
	a.lines = append(a.lines, line{append([]string{"auth"}, words...), block})
}

// basic authenticates by a user name and a password, one of which may be empty.
func (a *api) basic(hasUser, hasPassword bool) {
	a.fields["authorization"] = true
	user, password := `""`, `""`
	if hasUser || !hasPassword {
		user = a.variable("username", "the user name")
	}
	if hasPassword {
		password = a.variable("password", "the password")
	}
	a.auth(nil, "basic", user, password)
}

// bearer authenticates by a token.
func (a *api) bearer() {
	a.fields["authorization"] = true
	a.auth(nil, "bearer", a.variable("token", "the bearer token"))
}

// apiKey authenticates by a key in a header field or a query parameter.
func (a *api) apiKey(name, prefix string, inQuery bool) {
	name = strings.TrimSpace(name)
	check := wire.CheckFieldName
	if inQuery {
		check = wire.CheckQueryKey
	}
	if name == "" || check("auth api_key", name) != nil || !plain.MatchString(name) {
		a.note("the API key, since the file has no name for it that can be used; write auth api_key <name> " +
			a.variable("api_key", "the API key"))
		return
	}
	var block []line
	if inQuery {
		a.params = append(a.params, name)
		block = append(block, line{words: []string{"in", "query"}})
	} else {
		a.fields[strings.ToLower(name)] = true
		if prefix = strings.TrimSpace(prefix); prefix != "" {
			token, ok := literal(prefix)
			if !ok || len(prefix) > 20 {
				token = a.variable("prefix", "what stands before the API key")
			}
			block = append(block, line{words: []string{"prefix", token}})
		}
	}
	a.auth(block, "api_key", name, a.variable("api_key", "the API key "+name))
}

// sign signs requests as Appsmith does.
func (a *api) sign() {
	const field = "X-Appsmith-Signature"
	if a.fields[strings.ToLower(field)] {
		a.note("the signature, since the authentication has its header field")
		return
	}
	a.fields[strings.ToLower(field)] = true
	a.option("signature", a.variable("signing_secret", "the session details signature key, 32 bytes or more,"))
}

// oauth is what a file says of OAuth 2.0.
type oauth struct {
	code                       bool // the grant is authorization_code
	tokenURL, authorizationURL string
	clientID                   string
	public                     bool // there is no client secret
	clientAuth, refreshAuth    string
	scopes                     []string
	sendScope                  bool
	audience                   string
	resource                   []string
	authorizationParams        []pair
	tokenParams                []pair
	expiresIn                  string
	inQuery                    bool
	place                      string // the field or the parameter, if it is not the usual one
	prefix                     *string
	pkceOff                    bool
	certificate                bool
}

// oauth2 authenticates by OAuth 2.0.
func (a *api) oauth2(o oauth) {
	var block []line
	option := func(words ...string) { block = append(block, line{words: words}) }
	grant := "client_credentials"
	if o.code {
		grant = "authorization_code"
		a.draft.console = true
		option("authorization_url", a.endpoint(o.authorizationURL, "authorization_url", "the authorization URL"))
	}
	option("token_url", a.endpoint(o.tokenURL, "token_url", "the access token URL (https)"))
	if o.code {
		option("redirect_url", "{$"+gateway+":http://localhost:8080}/connect/callback")
	}
	id, ok := literal(o.clientID)
	if !ok || id[0] == '"' {
		id = a.variable("client_id", "the client id")
	}
	option("client_id", id)
	if o.public {
		option("client_auth", "none")
	} else {
		option("client_secret", a.variable("client_secret", "the client secret"))
		if o.clientAuth != "" {
			option("client_auth", o.clientAuth)
		}
		if o.code && o.refreshAuth != "" && o.refreshAuth != o.clientAuth {
			option("refresh_client_auth", o.refreshAuth)
		}
	}
	a.scopes(&o, option)
	a.parameters(&o, option)
	if n, err := strconv.Atoi(o.expiresIn); o.expiresIn != "" && (err != nil || n < 0 || n > 10*365*24*3600) {
		a.note("when the authorization expires: it is no number of seconds up to ten years")
	} else if n > 0 {
		option("expires_in", strconv.Itoa(n))
	}
	a.tokenPlace(&o, option)
	if o.code && o.pkceOff {
		option("pkce", "off")
	}
	if o.certificate {
		option("self_signed_cert", a.certificate())
	}
	a.auth(block, "oauth2", grant)
}

// scopeToken matches what RFC 6749 calls so, but for what a Caddyfile or the option's parser would
// take apart.
var scopeToken = regexp.MustCompile(`^[!#-+\--\[\]-z|~]+$`)

func (a *api) scopes(o *oauth, option func(...string)) {
	words := []string{"scopes"}
	for _, scope := range o.scopes {
		token, ok := literal(scope)
		if !ok || !scopeToken.MatchString(scope) {
			a.note("a scope that a Caddyfile cannot hold")
			continue
		}
		words = append(words, token)
	}
	if len(words) > 1 {
		option(words...)
	}
	if o.code && o.sendScope {
		option("send_scope_on_refresh")
	}
	if o.audience != "" {
		option("audience", a.public(o.audience, "audience", "the audience"))
	}
	for _, uri := range o.resource {
		if uri != "" {
			option("resource", a.public(uri, "resource", "the resource"))
		}
	}
}

// public returns a value that is no secret as a token, or a variable if it cannot stand there.
func (a *api) public(val, suffix, from string) string {
	if token, ok := literal(val); ok {
		return token
	}
	return a.variable(suffix, from)
}

// parameters writes the further parameters of authorization and token requests.
func (a *api) parameters(o *oauth, option func(...string)) {
	own := map[string]bool{
		"state": true, "redirect_uri": true, "response_type": true, "client_id": true, "code_challenge": true,
		"code_challenge_method": true, "response_mode": true, "grant_type": true, "client_secret": true, "scope": true,
		"audience": true, "resource": true, "refresh_token": true, "code": true, "code_verifier": true,
	}
	write := func(name, kind string, pairs []pair, open bool) {
		seen := maps.Clone(own)
		if open {
			for _, word := range []string{"scope", "audience", "resource"} {
				delete(seen, word)
			}
		}
		for _, p := range pairs {
			switch {
			case p.key == "":
			case seen[p.key]:
				a.note("the " + kind + " " + shown([]string{p.key}) + ": it is there twice, or has an option of its own, or belongs to the protocol")
			case !plain.MatchString(p.key):
				a.note("a " + kind + " whose name a Caddyfile cannot hold")
			default:
				seen[p.key] = true
				token, ok := literal(p.value)
				if !ok || !open || opaque.MatchString(p.value) {
					token = a.variable(p.key, "the "+kind+" "+p.key)
				}
				option(name, p.key, token)
			}
		}
	}
	if o.code {
		write("authorization_param", "parameter of authorization requests", o.authorizationParams, true)
	}
	write("token_param", "parameter of token requests", o.tokenParams, false)
}

// tokenPlace writes where the access token goes.
func (a *api) tokenPlace(o *oauth, option func(...string)) {
	if o.inQuery {
		key := "access_token"
		if o.place != "" && wire.CheckQueryKey("add_token_to", o.place) == nil && plain.MatchString(o.place) {
			key = o.place
		}
		a.params = append(a.params, key)
		option("add_token_to", "query", key)
		return
	}
	a.fields["authorization"] = true
	if o.prefix == nil || *o.prefix == "Bearer" {
		return
	}
	prefix := `""`
	if *o.prefix != "" {
		var ok bool
		if prefix, ok = literal(*o.prefix); !ok || len(*o.prefix) > 20 {
			a.note("what stands before the access token, which is no plain word; Bearer stands there")
			return
		}
	}
	option("header_prefix", prefix)
}
