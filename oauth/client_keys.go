// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// clientAuth is a way of client authentication with its options.
type clientAuth struct {
	prefix  string            // of errors
	way     string            // "" for none
	options ClientAuthOptions // with the sealed values opened, and not resolved yet

	more        []published
	named       bool // the provider finds the key where those of other datasources are, too
	key         remembered[*provider.ClientKey]
	certificate remembered[*tls.Certificate]
}

// parsed is what was made of a text. The files are read for each request; what has not changed is
// not parsed again, which takes a millisecond for an RSA key.
type parsed[T any] struct {
	text string
	val  T
}

// remembered is what was made of a text the last time.
type remembered[T any] struct{ last atomic.Pointer[parsed[T]] }

// of returns what parse makes of a text, or has made of it the last time.
func (r *remembered[T]) of(text string, parse func() (T, error)) (T, error) {
	if known := r.last.Load(); known != nil && known.text == text {
		return known.val, nil
	}
	val, err := parse()
	if err == nil {
		r.last.Store(&parsed[T]{text, val})
	}
	return val, err
}

// unsealClientAuth opens the sealed values of both ways of client authentication, and those of the
// assertion of a grant.
func unsealClientAuth(ctx caddy.Context, opts *Options) error {
	for i, way := range []string{opts.ClientAuth, opts.RefreshClientAuth} {
		c := &opts.clientAuth[i]
		c.way, c.named = way, namesKeys(opts)
		c.prefix = "auth oauth2: " + []string{"client_auth ", "refresh_client_auth "}[i] + way
		if o := []*ClientAuthOptions{opts.ClientAuthOptions, opts.RefreshClientAuthOptions}[i]; o != nil {
			c.options = *o
		}
		if err := c.unsealOptions(ctx); err != nil {
			return err
		}
	}
	return opts.assertion.unseal(ctx, opts)
}

// unsealOptions opens the sealed values of the options.
func (c *clientAuth) unsealOptions(ctx caddy.Context) error {
	for _, name := range []string{"key", "key_id", "certificate", "audience", "assertion_file"} {
		text := c.options.text(name)
		var err error
		if *text, err = value.Unseal(ctx, c.prefix+": "+name, *text); err != nil {
			return err
		}
	}
	return c.unsealMore(ctx)
}

// resolveClientAuth resolves what the client authenticates with as of now.
func resolveClientAuth(opts *Options, to *provider.Config) (err error) {
	if to.Assertion, err = opts.clientAuth[0].assertion(); err != nil {
		return err
	}
	if to.RefreshAssertion, err = opts.clientAuth[1].assertion(); err != nil {
		return err
	}
	switch {
	case opts.second: // the first leg brings the assertion
	case opts.Grant == grantJWTBearer:
		to.Grant, err = opts.assertion.resolve(to)
	case opts.Grant == grantTokenExchange:
		to.TokenExchange, err = opts.callers.resolve(opts)
	}
	return err
}

// assertion returns what the way needs, or nil.
func (c *clientAuth) assertion() (*provider.Assertion, error) {
	a := &provider.Assertion{Algorithm: c.options.Algorithm, Lifetime: time.Duration(c.options.Lifetime)}
	var err error
	switch c.way {
	case provider.PrivateKeyJWT:
		a.Key, err = c.clientKey()
	case provider.AssertionFile:
		a.Text, err = readAssertion(c.prefix, c.options.AssertionFile)
	case provider.TLSClientAuth:
		_, err = c.clientCertificate()
	case provider.ClientSecretJWT:
	default:
		return nil, nil //nolint:nilnil // there is none
	}
	if err == nil && c.options.Audience != "" {
		a.Audience, err = value.ResolveLine(c.prefix+": audience", c.options.Audience)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// clientKey returns the key that signs assertions.
func (c *clientAuth) clientKey() (*provider.ClientKey, error) {
	keyText, err := resolveKey(c.prefix+": key", c.options.Key)
	if err != nil {
		return nil, err
	}
	var id, certText string
	if c.options.KeyID != "" {
		if id, err = value.ResolveLine(c.prefix+": key_id", c.options.KeyID); err != nil {
			return nil, err
		}
	}
	if c.options.Certificate != "" {
		if certText, err = value.ResolvePEM(c.prefix+": certificate", c.options.Certificate); err != nil {
			return nil, err
		}
	}
	return c.key.of(keyText+"\x00"+id+"\x00"+certText, func() (*provider.ClientKey, error) {
		return c.parseKey(keyText, id, certText)
	})
}

func (c *clientAuth) parseKey(keyText, id, certText string) (*provider.ClientKey, error) {
	key, err := signingkey.Parse(keyText)
	if err != nil {
		return nil, fmt.Errorf("%s: key: %w", c.prefix, err)
	}
	alg, err := signingkey.AlgorithmFor(key.Signer, cmp.Or(c.options.Algorithm, key.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("%s: key: %w", c.prefix, err)
	}
	parsed := &provider.ClientKey{Signer: key.Signer, ID: cmp.Or(id, key.ID), Algorithm: alg}
	if parsed.ID == "" && (len(c.more) > 0 || c.named) { // of several keys a provider must know which one it was
		parsed.ID = thumbprint(key.Signer)
	}
	if certText == "" {
		return parsed, nil
	}
	cert, err := trust.ParseCertificateOf(certText, key.Signer)
	if err != nil {
		return nil, fmt.Errorf("%s: certificate: %w", c.prefix, err)
	}
	thumbprint := sha256.Sum256(cert.Raw)
	parsed.Thumbprint = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	return parsed, nil
}

// clientCertificate returns the certificate that TLS presents, as it is in its file now.
func (c *clientAuth) clientCertificate() (*tls.Certificate, error) {
	text, err := value.ResolvePEM(c.prefix+": certificate", c.options.Certificate)
	if err != nil {
		return nil, err
	}
	return c.certificate.of(text, func() (*tls.Certificate, error) {
		cert, err := trust.ParseClient(text)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate: %w", c.prefix, err)
		}
		return cert, nil
	})
}

// latestCertificate is clientCertificate, or the certificate before it if the file cannot be used
// now.
func (c *clientAuth) latestCertificate() (*tls.Certificate, error) {
	cert, err := c.clientCertificate()
	if known := c.certificate.last.Load(); err != nil && known != nil {
		return known.val, nil
	}
	return cert, err
}

// presentsCertificate reports whether a client certificate authenticates the client.
func presentsCertificate(opts *Options) bool {
	return opts.ClientAuth == provider.TLSClientAuth || opts.RefreshClientAuth == provider.TLSClientAuth
}

// newTLS returns the configuration of connections to the provider, or nil for that of the system.
// tls_client_auth changes nothing of what the provider is trusted by.
func (opts *Options) newTLS(trusted *trust.Trust) (*tls.Config, error) {
	var config *tls.Config
	if trusted != nil {
		config = trusted.Config()
	}
	if !presentsCertificate(opts) {
		return config, nil
	}
	c := &opts.clientAuth[0]
	if c.way != provider.TLSClientAuth {
		c = &opts.clientAuth[1]
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if len(config.Certificates) > 0 {
		return nil, errors.New(c.prefix + ": the PEM of self_signed_cert has a private key, and so a client certificate too; remove the key from it")
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return c.latestCertificate()
	}
	return config, nil
}

// resolveKey returns the text of a private key. The value is the text itself, or the name of its
// file. A JSON Web Key has braces that are no placeholder's.
func resolveKey(option, text string) (string, error) {
	if signingkey.IsJWK(text) {
		return text, nil
	}
	resolved, err := value.Resolve(option, text)
	if err != nil || signingkey.IsJWK(resolved) {
		return resolved, err
	}
	return value.ResolvePEM(option, text)
}

// maxAssertion bounds the file of an assertion. Those of platforms have some 2 kB.
const maxAssertion = 64 << 10

// readAssertion reads the file of an assertion. Errors show its name only if it is a path: it may
// be the assertion itself.
func readAssertion(option, text string) (string, error) {
	name, err := value.ResolveLine(option, text)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(name) {
		return "", errors.New(option + ": it is not the absolute path of a file; write the path itself, as in assertion_file /var/run/secrets/token")
	}
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxAssertion+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	assertion := strings.TrimSpace(string(content))
	if len(content) > maxAssertion || !isJWT(assertion) {
		return "", fmt.Errorf("%s: there is no JSON Web Token in %s; it must have the assertion alone, as the platform writes it", option, name)
	}
	return assertion, nil
}

// isJWT reports whether a text has the form of a signed JSON Web Token (RFC 7515 §3.1).
func isJWT(text string) bool {
	return strings.Count(text, ".") == 2 && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}
