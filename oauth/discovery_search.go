// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// search is how a lookup goes.
type search struct {
	issuer string   // of the option discover; "" begins at the API
	pinned string   // the option issuer, resolved; "" if it is not given
	api    *url.URL // the base URL; nil if the issuer is given
	pkce   bool     // the option pkce is given, or the grant needs none

	timeout      time.Duration // of one request
	insecureHTTP bool

	// strict never dials a private address, and wide does. The API may have a certificate of its
	// own, so it has clients of its own.
	strict, wide clients

	// denied reports whether an error says that an address was not dialled.
	denied func(error) bool
}

// clients send the requests of a lookup.
type clients struct{ provider, api *provider.Client }

// unsettledTerm is how long something counts that was found while the API had no answer.
const unsettledTerm = 5 * time.Minute

// patience is how long a lookup may take. It asks eight addresses at most.
func (s *search) patience() time.Duration { return 2 * s.timeout }

// run looks everything up. Whoever is at a public address must not lead the gateway to a private
// one (MCP, Security Best Practices: SSRF), so private addresses are only dialled if what the
// operator has written is private itself, and from there on: the base URL, or the issuer.
func (s *search) run(ctx context.Context) (*found, error) {
	f, err := s.with(ctx, s.strict)
	if err == nil {
		f.public = true
		return f, nil
	}
	fail, ok := errors.AsType[*provider.DiscoveryError](err)
	if !ok || !s.denied(err) {
		return nil, err
	}
	switch at := hostOf(fail.Address); {
	case at == s.begin():
		return s.with(ctx, s.wide)
	case s.pinned != "" && at == hostOf(s.pinned):
		return s.with(ctx, clients{provider: s.wide.provider, api: s.strict.api})
	}
	lie := *fail
	lie.Reason = "a public server names an address that is not public"
	if lie.Option == "" {
		lie.Option = "write out token_url (and authorization_url)"
	}
	return nil, &lie
}

// safely is run. A panic there would end Caddy, since no server's recover stands above a lookup:
// whatever the documents of strangers have our code do must not come to that.
func (s *search) safely(ctx context.Context) (f *found, err error) {
	defer func() {
		if p := recover(); p != nil { // its value may hold anything
			f, err = nil, &provider.DiscoveryError{
				Address: s.begin(), Reason: fmt.Sprintf("reading what was found panicked with a %T", p),
				Option: "write out token_url (and authorization_url), and report this",
			}
		}
	}()
	return s.run(ctx)
}

// begin returns the host that the operator has written.
func (s *search) begin() string {
	if s.api != nil {
		return s.api.Host
	}
	return hostOf(s.issuer)
}

// with looks everything up by clients.
func (s *search) with(ctx context.Context, by clients) (*found, error) {
	atServer := &provider.Discovery{Client: by.provider, Timeout: s.timeout, InsecureHTTP: s.insecureHTTP}
	if s.api == nil {
		server, err := atServer.ServerMetadata(ctx, s.issuer, s.pinned)
		if err != nil {
			return nil, err
		}
		return s.kept(&found{server: server}, server.Term), nil
	}
	atAPI := &provider.Discovery{Client: by.api, Timeout: s.timeout, InsecureHTTP: s.insecureHTTP}
	asked, err := atAPI.Ask(ctx, s.api.String())
	if err != nil {
		return nil, err
	}
	resource, err := s.resource(ctx, atAPI, asked)
	if err != nil {
		return nil, err
	}
	f := &found{fromAPI: true, scopes: asked.Scopes, dpop: asked.DPoP, resource: canonical(s.api)}
	if resource == nil {
		if fail := asked.Unsettled(s.api); fail != nil {
			return nil, fail
		}
		return s.older(ctx, atServer, asked, f)
	}
	f.resource, f.dpop = resource.Resource, f.dpop || resource.DPoP
	if len(f.scopes) == 0 {
		f.scopes = resource.Scopes
	}
	f.server, err = atServer.ServerMetadata(ctx, s.choose(resource.Servers), s.pinned)
	if err == nil {
		err = s.checkPKCE(f.server)
	}
	if err != nil {
		return nil, err
	}
	term := min(resource.Term, f.server.Term)
	if asked.Unsettled(s.api) != nil {
		term = min(term, unsettledTerm) // the API may have more to say
	}
	return s.kept(f, term), nil
}

// resource fetches the API's metadata. Where the address that the API has named has none, the
// well-known ones are asked: servers behind a proxy name addresses that they have behind it.
func (s *search) resource(ctx context.Context, atAPI *provider.Discovery, asked *provider.Asked) (*provider.ResourceMetadata, error) {
	if asked.MetadataURL == "" {
		return atAPI.ResourceMetadata(ctx, s.api, "")
	}
	named, err := atAPI.ResourceMetadata(ctx, s.api, asked.MetadataURL)
	if fail, ok := errors.AsType[*provider.DiscoveryError](err); !ok || !fail.Absent() {
		return named, err
	}
	if found, e := atAPI.ResourceMetadata(ctx, s.api, ""); e == nil && found != nil {
		return found, nil
	}
	return nil, err
}

// choose returns the authorization server that counts. Several are independent of each other
// (RFC 9728 §7.6), so it is always the same: the one that issuer pins, or else the first.
func (s *search) choose(servers []string) string {
	for _, server := range servers {
		if s.pinned != "" && provider.SameIssuer(server, s.pinned) {
			return server
		}
	}
	return servers[0]
}

// older looks up the provider of an API that does not know RFC 9728: the API's origin is the
// issuer, and if that says nothing either, the endpoints are at fixed paths (MCP 2025-03-26).
func (s *search) older(ctx context.Context, at *provider.Discovery, asked *provider.Asked, f *found) (*found, error) {
	origin := s.api.Scheme + "://" + s.api.Host
	server, err := at.ServerMetadata(ctx, origin, s.pinned)
	if err == nil {
		if err := s.checkPKCE(server); err != nil {
			return nil, err
		}
		f.server = server
		return s.kept(f, server.Term), nil
	}
	fail, ok := errors.AsType[*provider.DiscoveryError](err)
	switch {
	case !ok || !fail.Absent() || s.pinned != "" && !provider.SameIssuer(origin, s.pinned):
		return nil, err // the fixed paths are no endpoints of the issuer that is pinned
	case asked.Status != http.StatusUnauthorized:
		return nil, &provider.DiscoveryError{
			Address: s.api.Redacted(), Option: "write discover <issuer>, or write out token_url (and authorization_url)",
			Reason: "metadata by RFC 9728, or at least the status 401, was expected, and the status is " + strconv.Itoa(asked.Status),
		}
	}
	f.fixed = true
	f.server = &provider.ServerMetadata{
		Address: s.api.Redacted(), Issuer: origin, AuthorizationURL: origin + "/authorize", TokenURL: origin + "/token",
		RegistrationURL: origin + "/register", Term: time.Hour,
	}
	return s.kept(f, f.server.Term), nil
}

// checkPKCE refuses a server that an API has named and that does not promise PKCE: a client cannot
// tell whether its challenge was looked at.
func (s *search) checkPKCE(server *provider.ServerMetadata) error {
	if s.pkce || server.S256() {
		return nil
	}
	return &provider.DiscoveryError{
		Address: server.Address, Reason: "S256 was expected in code_challenge_methods_supported, and it is not there",
		Option: "if the provider is to be used all the same, write pkce S256, or pkce off",
	}
}

// kept returns what was found, with the time until which it counts.
func (*search) kept(f *found, term time.Duration) *found {
	f.until = time.Now().Add(term)
	return f
}

// canonical returns the identifier of an API that does not say its own (MCP, Canonical Server
// URI): its URL without a query, and without a slash at the end.
func canonical(api *url.URL) string {
	return api.Scheme + "://" + api.Host + strings.TrimSuffix(api.EscapedPath(), "/")
}
