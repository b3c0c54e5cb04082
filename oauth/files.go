// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/tls"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Files are read for each request to the provider, so nothing here is needed for a rotated secret
// to be used. What is here tells the log of it, lets a connection that failed with the old secret
// try at once, replaces what is trusted, and closes connections that were made with an old
// certificate.

const certificateOption = "auth oauth2: self_signed_cert"

// files is what the options know of the files that they come from.
type files struct {
	certificate string // SelfSignedCert with a sealed value opened, not resolved yet

	// good is what a request to the provider was made of that could be made.
	good atomic.Pointer[provider.Config]

	used content // as of the last Reread
}

// content is what all files together say.
type content struct {
	config       *provider.Config
	trust        *trust.Trust // nil: the system's
	certificates [2]*tls.Certificate
}

// latestConfig returns what a request to the provider is made of, as its files are now. If a file
// cannot be used now, it is what could be used last: a file that is just being written, or that is
// gone for a moment, must not cost a token.
func latestConfig(opts *Options) (*provider.Config, error) {
	to, err := opts.resolve()
	good := opts.files.good.Load()
	switch {
	case err == nil:
		opts.files.good.Store(apart(to))
		return to, nil
	case good == nil:
		return nil, err
	default:
		return apart(good), nil
	}
}

// apart returns a copy of a configuration, both legs of it: what a request finds out is added to
// them, and must not stay in what the next request is made of.
func apart(to *provider.Config) *provider.Config {
	fresh := *to
	if to.TokenExchange != nil {
		x := *to.TokenExchange
		if x.Then != nil {
			x.Then = apart(x.Then)
		}
		fresh.TokenExchange = &x
	}
	return &fresh
}

// readFiles returns what the files say now.
func readFiles(opts *Options) (c content, err error) {
	if c.config, err = opts.resolve(); err != nil {
		return content{}, err
	}
	for i := range opts.clientAuth {
		if auth := &opts.clientAuth[i]; auth.way == provider.TLSClientAuth {
			if c.certificates[i], err = auth.clientCertificate(); err != nil {
				return content{}, err
			}
		}
	}
	if opts.files.certificate != "" {
		if c.trust, err = trust.Read(certificateOption, opts.files.certificate); err != nil {
			return content{}, err
		}
	}
	return c, nil
}

// Files implements auth.Rereader.
func (opts *Options) Files() []string {
	c := &opts.texts
	texts := slices.Concat(c.Scopes, c.Resource)
	for _, named := range []map[string]string{c.TokenParams, c.TokenHeader, c.AuthorizationParams} {
		texts = slices.AppendSeq(texts, maps.Values(named))
	}
	for _, o := range options {
		if o.config != nil {
			texts = append(texts, *o.config(c))
		}
	}
	names := value.Files(texts...)
	for i := range opts.clientAuth {
		names = append(names, opts.clientAuth[i].files()...)
	}
	if opts.Then != nil {
		names = append(names, opts.Then.Files()...)
	}
	return slices.Concat(names, opts.assertion.files(), value.Files(opts.callers.fixed), value.PEMFiles(opts.files.certificate))
}

// files returns the files of a way of client authentication.
func (c *clientAuth) files() []string {
	names := value.Files(c.options.KeyID, c.options.Audience)
	for _, text := range []string{c.options.Key, c.options.Certificate, c.options.AssertionFile} {
		if !signingkey.IsJWK(text) {
			names = append(names, value.PEMFiles(text)...)
		}
	}
	for i := range c.more {
		if !signingkey.IsJWK(c.more[i].Key) {
			names = append(names, value.PEMFiles(c.more[i].Key)...)
		}
	}
	return names
}

// files returns the files of the assertion of a grant.
func (k *assertionKey) files() []string {
	texts := slices.AppendSeq([]string{k.issuer, k.subject}, maps.Values(k.claims))
	return slices.Concat(k.clientAuth.files(), value.Files(texts...), value.PEMFiles(k.file), value.PEMFiles(k.account))
}

// Reread implements auth.Rereader.
func (m *Method) Reread() (changed bool, err error) {
	next, err := readFiles(&m.Options)
	if err != nil {
		return false, err
	}
	if err := checkUnchanged(m, next.config); err != nil {
		return false, err
	}
	before := m.files.used
	trusts := !next.trust.Equal(before.trust)
	if !trusts && next.certificates == before.certificates && reflect.DeepEqual(next.config, before.config) {
		return false, nil
	}
	if trusts {
		config, err := m.newTLS(next.trust)
		if err != nil {
			return false, err
		}
		m.client.Trust(config)
		m.public.Trust(config)
	}
	m.client.CloseIdleConnections()
	m.public.CloseIdleConnections()
	m.files.used = next
	connection.TryAgain(m.set)
	return true, nil
}
