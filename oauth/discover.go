// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// setAPI sets the base URL of the API, at which discovery may begin.
func setAPI(opts *Options, base string) error {
	if opts.DPoP && base == "" {
		return errors.New("auth oauth2: dpop: a proof has the URL that the API gets, which only a base URL tells; give one")
	}
	if opts.Then != nil {
		if err := setAPI(opts.Then, base); err != nil {
			return err
		}
	}
	if !discovers(opts) || *opts.Discover != "" {
		return nil
	}
	if base == "" {
		return errors.New("auth oauth2: discover: there is no base URL to begin at; write discover <issuer>")
	}
	u, err := url.Parse(base)
	if err != nil {
		return errors.New("auth oauth2: discover: the base URL is no URL")
	}
	if u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) && !opts.InsecureHTTP {
		return errors.New("auth oauth2: discover: the base URL is http, so anybody on the way can name the provider; write https, " +
			"discover <issuer>, or insecure_http if you must")
	}
	opts.api = u
	return nil
}

// discoveredIdentity is identity with the option discover: what is found out is no part of it,
// since each grant knows what it was made with.
func discoveredIdentity(opts *Options, to *provider.Config) string {
	from := *opts.Discover
	if opts.api != nil {
		from = opts.api.Scheme + "://" + opts.api.Host
	}
	parts := []string{opts.Grant, "discover", from, to.TokenURL, to.ClientID}
	if opts.Interactive() {
		return digest(parts...)
	}
	parts = append(parts, to.Audience, strings.Join(to.Scopes, " "), opts.TokenField, strings.Join(to.Resource, " "))
	for _, name := range slices.Sorted(maps.Keys(to.TokenParams)) {
		parts = append(parts, name, to.TokenParams[name])
	}
	if to.Username != "" {
		parts = append(parts, "username", to.Username)
	}
	return digest(append(parts, askedFor(opts, to)...)...)
}

// bindDiscovery gives a method its discovery, and one for a second leg, where the option is given.
// Nothing is fetched yet.
func bindDiscovery(m *Method, to *provider.Config) (err error) {
	if m.discovery, err = newDiscovery(m, &m.Options, to.Issuer); err != nil {
		return err
	}
	if m.Then != nil {
		if m.second, err = newDiscovery(m, m.Then, ""); err != nil {
			return fmt.Errorf("then: %w", err)
		}
	}
	if m.discovery != nil || m.second != nil || m.DPoP && m.RefreshToken != "" {
		m.registrar = newRegistrar(m)
	}
	if m.discovery != nil && m.Interactive() {
		m.wishes = &wishes{m: m}
	}
	return nil
}

// newDiscovery returns the discovery of a leg, or nil if it has not the option.
func newDiscovery(m *Method, leg *Options, pinned string) (*discovery, error) {
	if !discovers(leg) {
		return nil, nil //nolint:nilnil // everything is written out
	}
	issuer, err := resolveIssuer(leg)
	if err != nil {
		return nil, err
	}
	denied := m.environment.Denied
	if denied == nil {
		denied = func(error) bool { return false }
	}
	return &discovery{logger: m.logger, search: &search{
		issuer: issuer, pinned: pinned, api: leg.api, pkce: leg.PKCE != "" || !leg.Interactive(), timeout: time.Duration(m.Timeout),
		insecureHTTP: leg.InsecureHTTP, denied: denied,
		strict: clients{m.public, m.public}, wide: clients{m.client, m.client},
	}}, nil
}

// TrustAPI sets how the API is trusted when discovery begins there: as requests trust it, with its
// own certificate and with the client certificate that it wants. nil changes nothing.
func TrustAPI(m *Method, config *tls.Config) {
	for _, d := range []*discovery{m.discovery, m.second} {
		if d == nil || d.search.api == nil || config == nil {
			continue
		}
		s := d.search
		for by, dial := range map[*clients]func(context.Context, string, string) (net.Conn, error){&s.strict: m.environment.DialPublic, &s.wide: m.environment.Dial} {
			by.api = provider.New(config, dial)
			by.api.Transport.Proxy = m.proxy.to.Of
		}
	}
}

// clientFor returns the client that sends a request to an endpoint. public says that a public
// address has named the endpoint; see provider.Config.
func clientFor(m *Method, public bool) *provider.Client {
	if public {
		return m.public
	}
	return m.client
}

// complete fills in what the configuration leaves open, and returns where the grant comes from,
// nil without discovery. before is the token that is replaced, or nil: while nothing can be found
// out, what that was made with counts. Errors of discovery are *provider.DiscoveryError within a
// *provider.Error.
func complete(ctx context.Context, m *Method, to *provider.Config, before *record.Token) (*record.Origin, error) {
	var made *record.Origin
	if before != nil {
		made = before.Origin
	}
	if m.discovery == nil {
		return withProofKey(m, nil, to, nil, made)
	}
	f, err := m.discovery.get(ctx)
	if err != nil {
		fail, ok := errors.AsType[*provider.DiscoveryError](err)
		if ok && fail.Temporary() && before != nil && before.Origin != nil {
			restore(&m.Options, to, before.Origin)
			return before.Origin, prove(m, to, before.Origin)
		}
		return nil, discoveryFailed(err)
	}
	if err := f.fill(&m.Options, to); err != nil {
		return nil, discoveryFailed(err)
	}
	client, err := m.registrar.client(ctx, f, to)
	if err != nil {
		return nil, discoveryFailed(err)
	}
	o, err := withProofKey(m, f, to, originOf(&m.Options, f, to, client), made)
	if err != nil {
		return nil, discoveryFailed(err)
	}
	return o, nil
}

// discoveryFailed returns an error of discovery as one of a request that was not made.
func discoveryFailed(err error) error {
	fail := &provider.Error{Err: err}
	if e, ok := errors.AsType[*provider.DiscoveryError](err); ok {
		fail.Retry = e.Retry
	}
	return fail
}

// discoverFlow finds out what a flow needs, and notes in the flow where its grant will come from.
func discoverFlow(ctx context.Context, m *Method, flow *Flow, to *provider.Config) error {
	if m.discovery == nil {
		o, err := withProofKey(m, nil, to, nil, nil)
		flow.Origin = o
		return err
	}
	f, err := m.discovery.consent(ctx)
	if err != nil {
		return discoveryFailed(err)
	}
	if err := f.fill(&m.Options, to); err != nil {
		return discoveryFailed(err)
	}
	m.wishes.ask(ctx, flow.Connection, to)
	askConsent(to)
	if err := checkOwnQuery(to); err != nil {
		return discoveryFailed(&provider.DiscoveryError{
			Address: f.server.Address, Reason: "the address for authorization_url is of no use", Err: err, Option: "write out authorization_url",
		})
	}
	if m.PKCE == "" && !f.challenges() {
		flow.Verifier = ""
	}
	client, err := m.registrar.client(ctx, f, to)
	if err != nil {
		return discoveryFailed(err)
	}
	o, err := withProofKey(m, f, to, originOf(&m.Options, f, to, client), nil)
	if err != nil {
		return discoveryFailed(err)
	}
	flow.Origin = o.With(func(o *record.Origin) { o.ClientSecret = "" })
	flow.NamesIssuer = f.server.NamesIssuer
	return nil
}

// originOfFlow puts into the configuration of a request what a flow was begun with. A code is
// redeemed where the browser was sent to, and nowhere else (RFC 9700 §4.4).
func originOfFlow(ctx context.Context, m *Method, flow *Flow, to *provider.Config) (*record.Origin, error) {
	o := flow.Origin
	if m.discovery == nil {
		return o, prove(m, to, o)
	}
	if o == nil {
		return nil, &provider.Error{Err: errors.New("the configuration has changed since; press Connect again")}
	}
	if o.Registered {
		client, err := m.registrar.again(ctx, o, to)
		if err != nil {
			return nil, &provider.Error{Err: err}
		}
		o = o.With(func(o *record.Origin) {
			o.ClientSecret, o.ClientAuth, o.SecretEnd = client.ClientSecret, client.ClientAuth, client.SecretEnd
		})
	}
	restore(&m.Options, to, o)
	return o, prove(m, to, o)
}

// FromIssuer reports whether a callback with the parameter iss ("" if it has none) may come from
// the provider that the browser was sent to (RFC 9207). configured is the option issuer, which
// counts without discovery. Identifiers are compared as simple strings (RFC 9207 §2.4).
func (f *Flow) FromIssuer(iss, configured string) bool {
	switch {
	case f.Origin == nil || f.Origin.Issuer == "":
		return configured == "" || iss == configured
	case iss == "":
		return !f.NamesIssuer
	default:
		return iss == f.Origin.Issuer
	}
}

// Doubt notes that the API has refused a token of the method: the API may have another provider by
// now.
func Doubt(m *Method) {
	if m.discovery != nil {
		m.discovery.doubt()
	}
}

// Discovered looks up what the configuration leaves open, if that is not known. It returns nil if
// nothing is left open, and a *provider.DiscoveryError if it cannot be found out.
func Discovered(ctx context.Context, m *Method) error {
	if m.discovery == nil {
		return nil
	}
	_, err := m.discovery.get(ctx)
	return err
}
