// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// fill puts what was found where the configuration says nothing: what is written out wins, one
// option at a time. Its errors are *provider.DiscoveryError.
func (f *found) fill(opts *Options, to *provider.Config) error {
	at := &provider.Discovery{InsecureHTTP: opts.InsecureHTTP}
	endpoint := func(field *string, named, option string, needed bool) error {
		if *field != "" || named == "" && !needed {
			return nil
		}
		if err := at.CheckAddress(named); err != nil {
			return &provider.DiscoveryError{
				Address: f.server.Address, Reason: "an address for " + option + " was expected", Err: err, Option: "write out " + option,
			}
		}
		*field = named
		return nil
	}
	server := f.server
	if presentsCertificate(opts) {
		server = server.ForCertificate()
	}
	to.Public = namedBy(f.public, to)
	if err := endpoint(&to.TokenURL, server.TokenURL, "token_url", true); err != nil {
		return err
	}
	if err := endpoint(&to.RevocationURL, server.RevocationURL, "revocation_url", false); err != nil {
		return err
	}
	if opts.Interactive() {
		if err := endpoint(&to.AuthorizationURL, server.AuthorizationURL, "authorization_url", true); err != nil {
			return err
		}
		if server.DemandsPAR {
			if err := at.CheckAddress(server.PARURL); err != nil {
				return &provider.DiscoveryError{
					Address: f.server.Address, Reason: "the provider demands pushed authorization requests (RFC 9126), and an address for them was expected",
					Err: err, Option: "no option stands in for it; the provider must mend its metadata",
				}
			}
			to.PARURL = server.PARURL
		}
	}
	to.Issuer = f.server.Issuer
	f.fillScopes(opts, to)
	if len(to.Resource) == 0 && f.resource != "" && !opts.ResourceOff && !microsoft(to.TokenURL) {
		to.Resource = []string{f.resource}
	}
	to.ScopeOnRefresh = to.ScopeOnRefresh || microsoft(to.TokenURL)
	if to.ClientAuth == "" && to.ClientID != "" {
		to.ClientAuth = f.clientAuth(to.ClientSecret != "")
	}
	return nil
}

// namedBy returns which endpoints may have no private address, if a public address names the
// provider's: those that the configuration does not write out. So it is called before they are
// filled in.
func namedBy(public bool, to *provider.Config) provider.Endpoints {
	return provider.Endpoints{Token: public && to.TokenURL == "", Revocation: public && to.RevocationURL == "", PAR: public}
}

// offlineAccess is the scope that asks for a refresh token (OpenID Connect Core 1.0 §11).
const offlineAccess = "offline_access"

// fillScopes asks for what the API wants, and for a refresh token where the server lists the scope
// for that.
func (f *found) fillScopes(opts *Options, to *provider.Config) {
	if len(to.Scopes) > 0 {
		return
	}
	to.Scopes = slices.Clone(f.scopes)
	if opts.Interactive() && slices.Contains(f.server.Scopes, offlineAccess) && !slices.Contains(to.Scopes, offlineAccess) {
		to.Scopes = append(to.Scopes, offlineAccess)
	}
}

// askConsent has the provider ask for consent where a refresh token is wanted: OpenID Connect Core
// 1.0 §11 has it ignore offline_access otherwise, and oidc-provider does. Microsoft takes it for a
// demand that the administrator's consent does not meet.
func askConsent(to *provider.Config) {
	_, written := to.AuthorizationParams["prompt"]
	u, err := url.Parse(to.AuthorizationURL)
	if written || err != nil || u.Query().Has("prompt") || !slices.Contains(to.Scopes, offlineAccess) || microsoft(to.TokenURL) {
		return
	}
	to.AuthorizationParams = maps.Clone(to.AuthorizationParams)
	if to.AuthorizationParams == nil {
		to.AuthorizationParams = make(map[string]string)
	}
	to.AuthorizationParams["prompt"] = "consent"
}

// clientAuth returns how a client authenticates that has a secret, or has none, as far as the
// server says what it takes.
func (f *found) clientAuth(secret bool) string {
	if !secret {
		return provider.ClientAuthNone
	}
	for _, way := range []string{provider.ClientSecretBasic, provider.ClientSecretPost, provider.ClientSecretJWT} {
		if slices.Contains(f.server.ClientAuths, way) {
			return way
		}
	}
	return provider.ClientSecretBasic
}

// challenges reports whether PKCE is used. A server that is known to take other methods only would
// refuse a request with S256.
func (f *found) challenges() bool { return !f.server.SaysChallenges || f.server.S256() }

// microsoft reports whether a token endpoint is one of Microsoft's v2.0 endpoints, which refuse
// resource beside scope (AADSTS9010010), and want scope in refreshes.
func microsoft(tokenURL string) bool {
	u, err := url.Parse(tokenURL)
	if err != nil || !strings.Contains(u.Path, "/v2.0/") {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return slices.Contains([]string{"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}, host) ||
		strings.HasSuffix(host, ".ciamlogin.com") || strings.HasSuffix(host, ".b2clogin.com")
}

// originOf returns where a grant comes from that a configuration asks for. client is the client
// that was registered, or nil.
func originOf(opts *Options, f *found, to *provider.Config, client *record.Origin) *record.Origin {
	o := &record.Origin{
		Issuer: to.Issuer, Public: f.public, Scopes: to.Scopes, Resource: to.Resource, ClientAuth: to.ClientAuth,
	}
	if opts.TokenURL == "" {
		o.TokenURL = to.TokenURL
	}
	if opts.RevocationURL == "" {
		o.RevocationURL = to.RevocationURL
	}
	if client != nil {
		o.ClientID, o.ClientSecret, o.Registered, o.SecretEnd = client.ClientID, client.ClientSecret, client.Registered, client.SecretEnd
		o.Redirect = client.Redirect
	}
	return o
}

// restore puts back what a grant was made with, where the configuration says nothing.
func restore(opts *Options, to *provider.Config, o *record.Origin) {
	if !discovers(opts) {
		return // it is there for the key alone
	}
	to.Public = namedBy(o.Public, to)
	to.TokenURL, to.RevocationURL = cmp.Or(to.TokenURL, o.TokenURL), cmp.Or(to.RevocationURL, o.RevocationURL)
	to.Issuer, to.ClientAuth = o.Issuer, cmp.Or(to.ClientAuth, o.ClientAuth)
	if o.ClientID != "" {
		to.ClientID, to.ClientSecret = o.ClientID, o.ClientSecret
	}
	if len(to.Scopes) == 0 || len(opts.Scopes) == 0 {
		to.Scopes = o.Scopes
	}
	to.Resource = o.Resource // an option that has changed since counts from the next consent on
	to.ScopeOnRefresh = to.ScopeOnRefresh || microsoft(to.TokenURL)
}

// ended reports whether the secret of a registered client has ended.
func ended(o *record.Origin, now time.Time) bool {
	return o.SecretEnd != 0 && !now.Before(time.Unix(o.SecretEnd, 0))
}
