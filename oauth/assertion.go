// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// AssertionOptions say what the assertion of the grant jwt_bearer is made of. Files are read again
// for each request to the provider.
type AssertionOptions struct {
	// The key, as in `client_auth_options` of `private_key_jwt`.
	ClientAuthOptions

	// The `iss` of the assertion. Placeholders as in `key`. Default: `client_id`, or the address
	// of the service account.
	Issuer string `json:"issuer,omitempty"`

	// The `sub` of the assertion: in whose name the token is. Placeholders as in `key`. Default:
	// the issuer; for a service account, none.
	Subject string `json:"subject,omitempty"`

	// Further claims, which are JSON strings. Values may hold placeholders as in `key`.
	Claims map[string]string `json:"claim,omitempty"`
}

// assertionOptionNames are the options of the block, in the order in which errors name them.
var assertionOptionNames = append(slices.Clone(clientAuthOptions[provider.PrivateKeyJWT]), "issuer", "subject", "claim")

// commonClaims are claims that errors may name.
var commonClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "target_audience", "email", "box_sub_type"}

func unmarshalAssertion(opts *Options, d *caddyfile.Dispenser) error {
	const prefix = "auth oauth2: assertion"
	if d.NextArg() {
		return d.Errf("%s: takes a block, assertion { key <pem> … }; a file that has the assertion itself is assertion_file <path>", prefix)
	}
	a := new(AssertionOptions)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if !slices.Contains(assertionOptionNames, name) {
			return d.Errf("%s: unrecognized option %s; %s", prefix, value.Mention(name, assertionOptionNames...), option.Suggest(name, assertionOptionNames...))
		}
		var err error
		switch name {
		case "issuer":
			err = unmarshalOnce(d, prefix, &a.Issuer)
		case "subject":
			err = unmarshalOnce(d, prefix, &a.Subject)
		case "claim":
			err = a.unmarshalClaim(d, prefix)
		default:
			err = a.unmarshalOption(d, provider.PrivateKeyJWT, prefix)
		}
		if err != nil {
			return err
		}
	}
	opts.Assertion = a
	return nil
}

func unmarshalOnce(d *caddyfile.Dispenser, prefix string, field *string) error {
	name := d.Val()
	if *field != "" {
		return d.Errf("%s: %s: given twice", prefix, name)
	}
	if !d.AllArgs(field) || *field == "" {
		return d.Errf("%s: %s: takes one value", prefix, name)
	}
	return nil
}

func (a *AssertionOptions) unmarshalClaim(d *caddyfile.Dispenser, prefix string) error {
	var name, val string
	if !d.AllArgs(&name, &val) {
		return d.Errf("%s: claim: takes a name and a value (one with blanks needs quotes)", prefix)
	}
	if _, ok := a.Claims[name]; ok {
		return d.Errf("%s: %s is given twice", prefix, claimLabel(name))
	}
	if a.Claims == nil {
		a.Claims = make(map[string]string)
	}
	a.Claims[name] = val
	return nil
}

func claimLabel(name string) string {
	return value.Label("claim", name, slices.Contains(commonClaims, name))
}

// checkJWTBearer checks the options of the grant jwt_bearer.
func checkJWTBearer(opts *Options) error {
	const prefix = "auth oauth2: assertion"
	a := opts.Assertion
	switch {
	case opts.AssertionFile != "" && (a != nil || opts.ServiceAccount != ""):
		return errors.New("auth oauth2: assertion_file: the file has the whole assertion; remove it, or assertion and service_account")
	case opts.AssertionFile == "" && opts.ServiceAccount == "" && a == nil:
		return errors.New("auth oauth2: the grant jwt_bearer needs an assertion: assertion { key <pem> … }, assertion_file <path> or service_account <json>")
	case a == nil:
		return nil
	case opts.ServiceAccount != "" && (a.Key != "" || a.KeyID != ""):
		return errors.New(prefix + ": key: service_account has the key; remove one")
	case opts.ServiceAccount == "" && a.Key == "":
		return errors.New(prefix + ": key is missing; write the path of the private key's file, or {env.NAME}")
	case opts.ServiceAccount == "" && a.Issuer == "" && opts.ClientID == "":
		return errors.New(prefix + ": issuer is missing; it is the name by which the provider knows the key's owner, often the client's")
	}
	return cmp.Or(checkClientAuthOptions("assertion", provider.PrivateKeyJWT, withKey(&a.ClientAuthOptions)), a.checkTexts(prefix))
}

// withKey returns options that have a key: that of a service account is not known yet.
func withKey(o *ClientAuthOptions) *ClientAuthOptions {
	if o.Key != "" {
		return o
	}
	stand := *o
	stand.Key = "{env.KEY}"
	return &stand
}

func (a *AssertionOptions) checkTexts(prefix string) error {
	err := cmp.Or(value.CheckWritten(prefix+": issuer", a.Issuer), value.CheckWritten(prefix+": subject", a.Subject))
	for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
		label := prefix + ": " + claimLabel(name)
		switch name {
		case "":
			err = cmp.Or(err, errors.New(prefix+": claim: the name is empty"))
		case "iss", "sub", "aud":
			err = cmp.Or(err, fmt.Errorf("%s: write issuer, subject or audience", label))
		case "exp", "iat", "nbf", "jti":
			err = cmp.Or(err, fmt.Errorf("%s: it is made for each assertion; see lifetime", label))
		}
		err = cmp.Or(err, value.CheckVariable(label, a.Claims[name]), value.CheckLine(label, a.Claims[name]))
	}
	return err
}

// assertionKey is what makes the assertions of a grant.
type assertionKey struct {
	clientAuth // of the key

	issuer, subject string
	claims          map[string]string
	file            string // assertion_file
	account         string // service_account
	accounts        remembered[*serviceAccount]
}

// unseal opens the sealed values of the assertion.
func (k *assertionKey) unseal(ctx caddy.Context, opts *Options) error {
	k.prefix, k.way = "auth oauth2: assertion", provider.PrivateKeyJWT
	k.file, k.account = opts.AssertionFile, opts.ServiceAccount
	if a := opts.Assertion; a != nil {
		k.options, k.issuer, k.subject, k.claims = a.ClientAuthOptions, a.Issuer, a.Subject, maps.Clone(a.Claims)
	}
	if err := k.unsealOptions(ctx); err != nil {
		return err
	}
	for name, text := range map[string]*string{
		"assertion: issuer": &k.issuer, "assertion: subject": &k.subject, "assertion_file": &k.file, "service_account": &k.account,
	} {
		var err error
		if *text, err = value.Unseal(ctx, "auth oauth2: "+name, *text); err != nil {
			return err
		}
	}
	for name, text := range k.claims {
		plain, err := value.Unseal(ctx, k.prefix+": "+claimLabel(name), text)
		if err != nil {
			return err
		}
		k.claims[name] = plain
	}
	return nil
}

// resolve returns what the assertion is made of as of now. It completes what a service account's
// file says of the provider.
func (k *assertionKey) resolve(to *provider.Config) (a *provider.Assertion, err error) {
	if k.file != "" {
		text, err := readAssertion("auth oauth2: assertion_file", k.file)
		return &provider.Assertion{Text: text}, err
	}
	a = &provider.Assertion{Lifetime: time.Duration(k.options.Lifetime), Claims: make(map[string]string, len(k.claims)+2)}
	for _, each := range []struct {
		name, text string
		to         *string
	}{
		{"audience", k.options.Audience, &a.Audience}, {"issuer", k.issuer, &a.Issuer}, {"subject", k.subject, &a.Subject},
	} {
		if each.text == "" {
			continue
		}
		if *each.to, err = value.ResolveLine(k.prefix+": "+each.name, each.text); err != nil {
			return nil, err
		}
	}
	for name, text := range k.claims {
		if a.Claims[name], err = value.ResolveLine(k.prefix+": "+claimLabel(name), text); err != nil {
			return nil, err
		}
	}
	if k.account != "" {
		return a, k.fromAccount(a, to)
	}
	a.Key, err = k.clientKey()
	return a, err
}
