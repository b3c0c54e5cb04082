// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// AuthCodeURL returns the URL of an authorization request (RFC 6749 §4.1.1), to which a browser is
// sent. verifier is that of PKCE (RFC 7636), "" for none.
func (cfg *Config) AuthCodeURL(state, verifier string) string {
	config := oauth2.Config{
		ClientID: cfg.ClientID, RedirectURL: cfg.RedirectURL, Scopes: cfg.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: cfg.AuthorizationURL},
	}
	var opts []oauth2.AuthCodeOption
	switch {
	case verifier == "":
	case cfg.PKCEPlain:
		opts = append(opts, oauth2.SetAuthURLParam("code_challenge", verifier), oauth2.SetAuthURLParam("code_challenge_method", "plain"))
	default:
		opts = append(opts, oauth2.S256ChallengeOption(verifier))
	}
	if cfg.ScopeSeparator != "" && len(cfg.Scopes) > 0 {
		opts = append(opts, oauth2.SetAuthURLParam("scope", strings.Join(cfg.Scopes, cfg.ScopeSeparator)))
	}
	if cfg.Proof != nil { // RFC 9449 §10: the code is good for the key only
		opts = append(opts, oauth2.SetAuthURLParam("dpop_jkt", cfg.Proof.Thumbprint))
	}
	if cfg.Audience != "" {
		opts = append(opts, oauth2.SetAuthURLParam("audience", cfg.Audience))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.AuthorizationParams)) {
		opts = append(opts, oauth2.SetAuthURLParam(name, cfg.AuthorizationParams[name]))
	}
	target := config.AuthCodeURL(state, opts...)
	if _, overridden := cfg.AuthorizationParams["resource"]; !overridden && len(cfg.Resource) > 0 {
		// The parameter may stand there several times (RFC 8707 §2).
		target += "&" + url.Values{"resource": cfg.Resource}.Encode()
	}
	// What is added begins behind the URL as it was configured. A blank in it is written %20, not
	// + as in a form. Only form decoders take + for a blank: whatever decodes and encodes the URL
	// on its way, by RFC 3986, makes %2B of it.
	added := target[len(cfg.AuthorizationURL):]
	return cfg.AuthorizationURL + strings.ReplaceAll(added, "+", "%20")
}
