// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// ClientAuthOptions are what a way of client authentication needs beside the client's identifier
// and secret. All files are read again for each request to the provider.
type ClientAuthOptions struct {
	// The client's private key, for `private_key_jwt`: the path of a PEM file (PKCS#8, PKCS#1 or
	// SEC 1, not encrypted) or of a JSON Web Key, or the text of one. Global placeholders such as
	// `{env.NAME}` are resolved when the configuration loads and again for each request.
	Key string `json:"key,omitempty"`

	// The `kid` in the header of the assertion, by which the provider finds the public key.
	// Placeholders as in `key`. Default: that of a JSON Web Key, or none.
	KeyID string `json:"key_id,omitempty"`

	// Further keys, which are published at the console's `jwks.json` as `key` is, and sign nothing:
	// so providers know the next key before it signs, and the last one while its assertions live.
	MoreKeys []PublishedKey `json:"more_keys,omitempty"`

	// The algorithm of the assertion. For `private_key_jwt`: `RS256`, `RS384`, `RS512`, `PS256`,
	// `PS384`, `PS512`, `ES256`, `ES384`, `ES512` or `EdDSA`; default: by the key. For
	// `client_secret_jwt`: `HS256`, `HS384` or `HS512`; default: `HS256`.
	Algorithm string `json:"algorithm,omitempty"`

	// For `private_key_jwt`: the certificate of the key, whose thumbprint goes into the header of
	// the assertion (`x5t#S256`). For `tls_client_auth`: the client certificate with its private
	// key. The path of a PEM file, or the text of one. Placeholders as in `key`.
	Certificate string `json:"certificate,omitempty"`

	// The `aud` of the assertion. Placeholders as in `key`. Default: `issuer`, or `token_url` if
	// there is no issuer.
	Audience string `json:"audience,omitempty"`

	// How long an assertion is valid. One second at least. Default: `1m`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// For `assertion_file`: the path of the file with the assertion. Placeholders as in `key`.
	AssertionFile string `json:"assertion_file,omitempty"`
}

// clientAuthOptions are the options of each way of client authentication that has some, in the
// order in which errors name them.
var clientAuthOptions = map[string][]string{
	provider.PrivateKeyJWT:   {"key", "key_id", "algorithm", "certificate", "audience", "lifetime"},
	provider.ClientSecretJWT: {"algorithm", "audience", "lifetime"},
	provider.TLSClientAuth:   {"certificate"},
	provider.AssertionFile:   {"assertion_file"},
}

// hmacs are the algorithms of client_secret_jwt.
var hmacs = []string{"HS256", "HS384", "HS512"}

// text returns the field of an option that takes a text.
func (o *ClientAuthOptions) text(name string) *string {
	switch name {
	case "key":
		return &o.Key
	case "key_id":
		return &o.KeyID
	case "algorithm":
		return &o.Algorithm
	case "certificate":
		return &o.Certificate
	case "audience":
		return &o.Audience
	case "assertion_file":
		return &o.AssertionFile
	default:
		return nil
	}
}

// unmarshalClientAuth reads client_auth or refresh_client_auth.
func unmarshalClientAuth(d *caddyfile.Dispenser, name string, way *string, options **ClientAuthOptions) error {
	args := d.RemainingArgs()
	if len(args) == 0 || args[0] == "" || len(args) > 1 && args[0] != provider.AssertionFile {
		return d.Errf("auth oauth2: %s: takes one value", name)
	}
	*way = args[0]
	prefix := "auth oauth2: " + name + " " + *way
	o := new(ClientAuthOptions)
	if *way == provider.AssertionFile {
		if len(args) != 2 || args[1] == "" {
			return d.Errf("%s: takes the path of a file", prefix)
		}
		o.AssertionFile, *options = args[1], o
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := checkOneOf(name, *way, provider.ClientAuths()...); err != nil {
			return d.WrapErr(err)
		}
		if err := o.unmarshalOption(d, *way, prefix); err != nil {
			return err
		}
		*options = o
	}
	return nil
}

func (o *ClientAuthOptions) unmarshalOption(d *caddyfile.Dispenser, way, prefix string) error {
	name := d.Val()
	possible := slices.DeleteFunc(slices.Clone(clientAuthOptions[way]), func(s string) bool { return s == "assertion_file" })
	switch {
	case len(possible) == 0:
		return d.Errf("%s: it has no options; remove the block", prefix)
	case !slices.Contains(possible, name):
		return d.Errf("%s: unrecognized option %s; %s", prefix, value.Mention(name, possible...), option.Suggest(name, possible...))
	}
	if name == "lifetime" {
		if o.Lifetime != 0 {
			return d.Errf("%s: lifetime: given twice", prefix)
		}
		var text string
		if !d.AllArgs(&text) {
			return d.Errf("%s: lifetime: takes one duration", prefix)
		}
		dur, err := value.ParseDuration(prefix+": lifetime", text)
		if err != nil {
			return d.WrapErr(err)
		}
		o.Lifetime = caddy.Duration(dur)
		return nil
	}
	if name == "key" {
		return o.unmarshalKey(d, prefix)
	}
	field := o.text(name)
	if *field != "" {
		return d.Errf("%s: %s: given twice", prefix, name)
	}
	if !d.AllArgs(field) || *field == "" {
		return d.Errf("%s: %s: takes one value", prefix, name)
	}
	return nil
}

// needsSecret reports whether a way of client authentication needs client_secret.
func needsSecret(way string) bool {
	switch way {
	case provider.PrivateKeyJWT, provider.TLSClientAuth, provider.AssertionFile, provider.ClientAuthNone:
		return false
	}
	return true
}

// checkClientSecret reports a client_secret that is missing, or that nothing uses.
func checkClientSecret(opts *Options) error {
	switch {
	case discovers(opts) && opts.ClientID == "" && opts.ClientSecret != "":
		return errors.New("auth oauth2: client_id is missing; client_secret belongs to it")
	case discovers(opts) && opts.ClientSecret == "" && (opts.ClientID == "" || opts.ClientAuth == ""):
		return nil // it comes with the registration, or there is none
	case opts.ClientSecret == "" && !nameless(opts) && needsSecret(opts.ClientAuth):
		return errors.New("auth oauth2: client_secret is missing; best write {env.NAME} (or client_auth none, for a client without a secret)")
	case opts.ClientSecret != "" && !needsSecret(opts.ClientAuth) && (opts.RefreshClientAuth == "" || !needsSecret(opts.RefreshClientAuth)):
		return fmt.Errorf("auth oauth2: client_secret is of no use with client_auth %s; remove one", opts.ClientAuth)
	}
	return nil
}

// checkClientAuth checks both ways of client authentication.
func checkClientAuth(opts *Options) error {
	const refresh = "refresh_client_auth"
	if opts.RefreshClientAuth == "" && opts.RefreshClientAuthOptions != nil {
		return errors.New("auth oauth2: refresh_client_auth_options: refresh_client_auth is missing; write how the client authenticates")
	}
	if opts.ClientAuth == provider.TLSClientAuth && opts.RefreshClientAuth == provider.TLSClientAuth {
		return errors.New("auth oauth2: refresh_client_auth tls_client_auth: client_auth is the same, and one certificate is presented; remove refresh_client_auth")
	}
	err := checkClientAuthOptions("client_auth", cmp.Or(opts.ClientAuth, provider.ClientSecretBasic), opts.ClientAuthOptions)
	if err == nil && opts.RefreshClientAuth != "" {
		err = checkClientAuthOptions(refresh, opts.RefreshClientAuth, opts.RefreshClientAuthOptions)
	}
	if err != nil {
		return err
	}
	for _, way := range []string{opts.ClientAuth, opts.RefreshClientAuth} {
		for _, name := range []string{"client_assertion", "client_assertion_type"} {
			if _, given := opts.TokenParams[name]; given && clientAuthOptions[way] != nil && way != provider.TLSClientAuth {
				return fmt.Errorf("auth oauth2: token_param: %s is what %s sends itself; remove one", name, way)
			}
		}
	}
	return nil
}

// checkClientAuthOptions checks the options of a way of client authentication. name is the option
// of auth oauth2.
func checkClientAuthOptions(name, way string, o *ClientAuthOptions) error {
	prefix := "auth oauth2: " + name + " " + way
	if name == "assertion" {
		prefix = "auth oauth2: assertion"
	}
	known := clientAuthOptions[way]
	if o == nil {
		o = new(ClientAuthOptions)
	}
	for _, each := range []string{"key", "key_id", "algorithm", "certificate", "audience", "assertion_file"} {
		if *o.text(each) != "" && !slices.Contains(known, each) {
			return fmt.Errorf("%s: %s is of no use with it; remove it", prefix, each)
		}
	}
	if o.Lifetime != 0 && !slices.Contains(known, "lifetime") {
		return fmt.Errorf("%s: lifetime is of no use with it; remove it", prefix)
	}
	if err := o.checkMoreKeys(prefix, way == provider.PrivateKeyJWT); err != nil {
		return err
	}
	algorithms := signingkey.Algorithms()
	if way == provider.ClientSecretJWT {
		algorithms = hmacs
	}
	switch {
	case way == provider.PrivateKeyJWT && o.Key == "":
		return errors.New(prefix + ": key is missing; write the path of the private key's file, or {env.NAME}")
	case way == provider.TLSClientAuth && o.Certificate == "":
		return errors.New(prefix + ": certificate is missing; write the path of a PEM file with the client certificate and its private key")
	case way == provider.AssertionFile && o.AssertionFile == "":
		return errors.New(prefix + ": takes the path of a file")
	case o.Algorithm != "" && !slices.Contains(algorithms, o.Algorithm):
		return fmt.Errorf("%s: algorithm: %s is not one of %s", prefix, value.Quote(o.Algorithm, algorithms...), strings.Join(algorithms, ", "))
	case o.Lifetime != 0 && time.Duration(o.Lifetime) < time.Second:
		return errors.New(prefix + ": lifetime: less than a second; an assertion's times are in seconds")
	}
	for _, each := range []string{"key", "key_id", "certificate", "audience", "assertion_file"} {
		if text := *o.text(each); text != "" {
			if err := checkFileName(prefix+": "+each, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFileName reports what is wrong with the name of a key's file, or with another plain text
// beside it. The text of a key is no name.
func checkFileName(label, text string) error {
	if isKeyText(text) {
		return nil
	}
	err := cmp.Or(value.CheckVariable(label, text), value.Check(label, text))
	if err == nil && strings.ContainsAny(text, "<>") {
		err = fmt.Errorf("%s: an example's <…> stands in it; put your own value there", label)
	}
	return err
}

// isKeyText reports whether a value is the text of a key or of a certificate, not the name of its
// file.
func isKeyText(text string) bool {
	return strings.Contains(text, "-----BEGIN") || signingkey.IsJWK(value.Literal(text)) || value.IsSealed(text)
}

// literalKeys returns the options whose private key stands in the configuration as it is.
func literalKeys(opts *Options) []string {
	var found []string
	for _, each := range []struct {
		name, way string
		options   *ClientAuthOptions
	}{
		{"client_auth", opts.ClientAuth, opts.ClientAuthOptions},
		{"refresh_client_auth", opts.RefreshClientAuth, opts.RefreshClientAuthOptions},
		{"assertion", "", keyOf(opts.Assertion)},
	} {
		if each.options == nil {
			continue
		}
		for _, more := range each.options.MoreKeys {
			if isKeyText(more.Key) && !value.IsSealed(more.Key) {
				found = append(found, "auth oauth2: "+strings.TrimSpace(each.name+" "+each.way)+": key")
			}
		}
		for _, name := range []string{"key", "certificate"} {
			text := *each.options.text(name)
			if isKeyText(text) && !value.IsSealed(text) && (name == "key" || strings.Contains(text, "PRIVATE KEY-----")) {
				found = append(found, "auth oauth2: "+strings.TrimSpace(each.name+" "+each.way)+": "+name)
			}
		}
	}
	if isKeyText(opts.ServiceAccount) && !value.IsSealed(opts.ServiceAccount) {
		found = append(found, serviceAccountOption)
	}
	return found
}

// keyOf returns the options of the key of an assertion, or nil.
func keyOf(a *AssertionOptions) *ClientAuthOptions {
	if a == nil {
		return nil
	}
	return &a.ClientAuthOptions
}
