// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const (
	resourceOff = "off" // a value of the option resource

	byDocument     = "metadata_document" // a value of the option registration
	byRegistration = "dynamic"           // a value of the option registration
)

// registrations are the ways of registration, in their default order.
var registrations = []string{byDocument, byRegistration}

func unmarshalDiscover(opts *Options, d *caddyfile.Dispenser) error {
	opts.Discover = new(string)
	args := d.RemainingArgs()
	switch {
	case len(args) > 1:
		return d.Errf("auth oauth2: discover: takes the provider's issuer, or nothing to begin at the API")
	case len(args) == 1 && args[0] == "":
		return d.Errf("auth oauth2: discover: the issuer is empty (a {$NAME} that is not set leaves nothing); write discover alone to begin at the API")
	case len(args) == 1:
		*opts.Discover = args[0]
	}
	return nil
}

func unmarshalRegistration(opts *Options, d *caddyfile.Dispenser) error {
	if opts.Registration = d.RemainingArgs(); len(opts.Registration) == 0 {
		return d.Errf("auth oauth2: registration: takes %s, or both in the order to try", strings.Join(registrations, " or "))
	}
	return nil
}

// discovers reports whether options are found out that are not written.
func discovers(opts *Options) bool { return opts.Discover != nil }

// checkDiscover checks the options that belong to discover.
func checkDiscover(opts *Options) error {
	for i, way := range opts.Registration {
		if err := checkOneOf("registration", way, registrations...); err != nil || way == "" {
			return errors.Join(err, errIf(way == "", "auth oauth2: registration: a way is empty"))
		}
		if slices.Contains(opts.Registration[:i], way) {
			return fmt.Errorf("auth oauth2: registration: %s is given twice", way)
		}
	}
	switch {
	case !discovers(opts) && opts.ClientName != "":
		return errors.New("auth oauth2: client_name: it is for registrations, which need discover; remove it")
	case !discovers(opts) && len(opts.Registration) > 0:
		return errors.New("auth oauth2: registration: it needs discover; remove it, or write discover <issuer>")
	case opts.ClientID != "" && len(opts.Registration) > 0:
		return errors.New("auth oauth2: registration: client_id is given, so no client is registered; remove one")
	case opts.ClientID != "" && opts.ClientName != "":
		return errors.New("auth oauth2: client_name: client_id is given, so no client is registered; remove one")
	case opts.ResourceOff && len(opts.Resource) > 0:
		return errors.New("auth oauth2: resource_off: resource is given, too; remove one")
	case !opts.Interactive() && slices.Equal(opts.Registration, []string{byDocument}):
		return errors.New("auth oauth2: registration: metadata_document is for authorization_code; write dynamic, or client_id")
	case discovers(opts) && opts.ClientID == "" && (opts.ClientAuth == provider.TLSClientAuth || opts.ClientAuth == provider.AssertionFile):
		return fmt.Errorf("auth oauth2: client_id is missing; client_auth %s is for a client that the provider knows", opts.ClientAuth)
	case discovers(opts) && *opts.Discover != "" && !strings.Contains(*opts.Discover, "{"):
		return checkIssuerURL(opts, *opts.Discover)
	}
	return nil
}

func errIf(is bool, text string) error {
	if is {
		return errors.New(text)
	}
	return nil
}

// checkIssuerURL checks the resolved issuer of the option discover.
func checkIssuerURL(opts *Options, text string) error {
	const option = "auth oauth2: discover"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New(option + ": the issuer is no URL; it looks like https://login.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return errors.New(option + ": an issuer has no user name, query or fragment (RFC 8414 §2); remove it")
	case strings.Contains(u.Path, "/.well-known/"):
		return errors.New(option + ": takes the issuer, not the address of its metadata; remove /.well-known/ and what follows it")
	case u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) && !opts.InsecureHTTP:
		return errors.New(option + ": with http anybody on the way can name the provider; write https, or insecure_http if you must")
	}
	return nil
}

// resolveIssuer resolves the issuer of the option discover; "" stands for the API.
func resolveIssuer(opts *Options) (string, error) {
	if *opts.Discover == "" {
		return "", nil
	}
	issuer, err := value.ResolveLine("auth oauth2: discover", opts.discoverText)
	if err != nil {
		return "", err
	}
	return issuer, checkIssuerURL(opts, issuer)
}
