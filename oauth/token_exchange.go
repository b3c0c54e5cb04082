// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// secondLeg are the options of `then jwt_bearer`.
var secondLeg = []string{
	"provider", "discover", "token_url", "insecure_http", "client_id", "client_secret", "client_auth", "token_request", "scopes", "audience", "resource", "token_param",
	"token_header", "answer",
}

// unmarshalThen reads `then jwt_bearer { … }`.
func unmarshalThen(opts *Options, d *caddyfile.Dispenser) error {
	then := &Options{second: true}
	segment := d.NextSegment()
	if len(segment) < 3 || segment[1].Text != grantJWTBearer || segment[2].Text != "{" {
		return d.Errf("auth oauth2: then: takes jwt_bearer and a block, then jwt_bearer { token_url <url> … }")
	}
	// By the interface, since the table of options cannot refer to the parser that reads it.
	var parser caddyfile.Unmarshaler = then
	if err := parser.UnmarshalCaddyfile(caddyfile.NewDispenser(segment)); err != nil {
		return err
	}
	opts.Then = then
	return nil
}

// unmarshalOnBehalfOf reads the option on_behalf_of.
func unmarshalOnBehalfOf(opts *Options, d *caddyfile.Dispenser) error {
	return unmarshalSwitch(d, "on_behalf_of", &opts.OnBehalfOf)
}

// checkTokenExchange checks the options of the grant token_exchange.
func checkTokenExchange(opts *Options) error {
	switch {
	case opts.SubjectToken == "":
		return errors.New("auth oauth2: subject_token is missing; it is a placeholder of the request that has the caller's token, " +
			"mostly {http.request.header.Authorization}")
	case !isOfRequest(opts.SubjectToken):
		return errors.New("auth oauth2: subject_token: there is no placeholder of the request in it, so all callers would have one token; " +
			"write {http.request.header.Authorization}, or use jwt_bearer with an assertion_file")
	case opts.Then != nil && discovers(opts) && *opts.Discover == "":
		return errors.New("auth oauth2: discover: the first leg is at the callers' identity provider, which the API does not name; " +
			"write discover <issuer>, and discover alone into the block of then")
	case opts.ActorTokenType != "" && opts.ActorToken == "":
		return errors.New("auth oauth2: actor_token_type: actor_token is missing")
	case opts.OnBehalfOf && (opts.SubjectTokenType != "" || opts.RequestedTokenType != "" || opts.ActorToken != "" || opts.Then != nil):
		return errors.New("auth oauth2: on_behalf_of: it is Microsoft's own protocol, which has no subject_token_type, requested_token_type, " +
			"actor_token and no second leg; remove one")
	}
	if err := cmp.Or(value.CheckLine("auth oauth2: subject_token", opts.SubjectToken), value.CheckLine("auth oauth2: actor_token", opts.ActorToken)); err != nil {
		return err
	}
	for _, each := range []struct{ name, text string }{
		{"subject_token_type", opts.SubjectTokenType}, {"requested_token_type", opts.RequestedTokenType}, {"actor_token_type", opts.ActorTokenType},
	} {
		if each.text != "" && !strings.Contains(each.text, ":") && !slices.Contains(provider.TokenTypes(), each.text) {
			return fmt.Errorf("auth oauth2: %s: %s is no token type; write a URI, or one of %s", each.name,
				value.Quote(each.text, provider.TokenTypes()...), strings.Join(provider.TokenTypes(), ", "))
		}
	}
	return checkThen(opts.Then)
}

// checkThen checks the second leg.
func checkThen(then *Options) error {
	if then == nil {
		return nil
	}
	then.second = true
	if then.Grant != grantJWTBearer {
		return errors.New("auth oauth2: then: only jwt_bearer is possible")
	}
	if then.ClientAuth == provider.TLSClientAuth {
		return errors.New("auth oauth2: then: client_auth tls_client_auth is not possible here; use private_key_jwt")
	}
	if discovers(then) && then.ClientID == "" && !nameless(then) {
		return errors.New("auth oauth2: then: client_id is missing; no client is registered for a second leg")
	}
	if err := then.Validate(); err != nil {
		return fmt.Errorf("auth oauth2: then: %w", err)
	}
	return nil
}

// checkSecond reports options that a second leg does not have.
func checkSecond(opts *Options) error {
	if opts.Assertion != nil || opts.AssertionFile != "" || opts.ServiceAccount != "" {
		return errors.New("auth oauth2: assertion: in a second leg it is what the first leg brings; remove it")
	}
	if opts.ExpiresIn != 0 || opts.RefreshBefore != nil || opts.AddTokenTo != nil || opts.HeaderPrefix != nil || opts.TokenField != "" ||
		opts.SelfSignedCert != "" || opts.NetworkProxyRaw != nil || opts.Timeout != 0 {
		return fmt.Errorf("auth oauth2: a second leg has the options %s; write others in the block around it", strings.Join(secondLeg, ", "))
	}
	return nil
}

// placeholder matches placeholders of requests, and global ones.
var placeholder = regexp.MustCompile(`\{[^{}$]*\.[^{}]*\}`)

// isOfRequest reports whether a text has a placeholder that only a request has a value for.
func isOfRequest(text string) bool {
	return slices.ContainsFunc(placeholder.FindAllString(text, -1), func(found string) bool {
		name := found[1:]
		return !strings.HasPrefix(name, "env.") && !strings.HasPrefix(name, "file.") && !strings.HasPrefix(name, "system.")
	})
}

// callers is what a configuration says of callers' tokens.
type callers struct {
	subject *value.Template // of SubjectToken; nil for other grants
	actor   *value.Template // of ActorToken, if the request has it; nil otherwise
	fixed   string          // ActorToken, if it is not the request's, with sealed values opened
}

// provision prepares what requests are asked for, and the second leg.
func (c *callers) provision(ctx caddy.Context, opts *Options) (err error) {
	if opts.Grant != grantTokenExchange {
		return nil
	}
	if c.subject, err = value.Parse("auth oauth2: subject_token", opts.SubjectToken); err != nil {
		return err
	}
	if isOfRequest(opts.ActorToken) {
		if c.actor, err = value.Parse("auth oauth2: actor_token", opts.ActorToken); err != nil {
			return err
		}
	} else if c.fixed, err = value.Unseal(ctx, "auth oauth2: actor_token", opts.ActorToken); err != nil {
		return err
	}
	if opts.Then == nil {
		return nil
	}
	if err := opts.Then.unseal(ctx); err != nil {
		return fmt.Errorf("then: %w", err)
	}
	return nil
}

// resolve returns what an exchange asks for as of now.
func (c *callers) resolve(opts *Options) (x *provider.TokenExchange, err error) {
	x = &provider.TokenExchange{
		SubjectType: cmp.Or(opts.SubjectTokenType, "access_token"), RequestedType: opts.RequestedTokenType,
		ActorType: cmp.Or(opts.ActorTokenType, "access_token"), OnBehalfOf: opts.OnBehalfOf,
	}
	if c.fixed != "" {
		if x.ActorToken, err = value.ResolveLine("auth oauth2: actor_token", c.fixed); err != nil {
			return nil, err
		}
	}
	if opts.Then == nil {
		return x, nil
	}
	// An identity assertion authorization grant, unless something else is written.
	x.SubjectType, x.RequestedType = cmp.Or(opts.SubjectTokenType, "id_token"), cmp.Or(opts.RequestedTokenType, "id-jag")
	if x.Then, err = opts.Then.resolve(); err != nil {
		return nil, fmt.Errorf("then: %w", err)
	}
	x.Then.Timeout = time.Duration(opts.Timeout)
	return x, nil
}

// Takes returns the places of a request that hold the caller's token: it is never forwarded.
func (opts *Options) Takes() []auth.Placement {
	var places []auth.Placement
	for _, text := range []string{opts.SubjectToken, opts.ActorToken} {
		for _, found := range placeholder.FindAllString(text, -1) {
			name := found[1 : len(found)-1]
			if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
				places = append(places, auth.Placement{Header: field})
			}
			if key, ok := strings.CutPrefix(name, "http.request.uri.query."); ok {
				places = append(places, auth.Placement{Query: key})
			}
			if strings.HasPrefix(name, "http.request.cookie.") {
				places = append(places, auth.Placement{Header: "Cookie"})
			}
		}
	}
	return places
}
