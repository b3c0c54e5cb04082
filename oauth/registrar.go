// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// documentName is the name below the console's address under which the Client ID Metadata Document
// is served, and keysName that of the client's public keys.
const (
	documentName = "client.json"
	keysName     = "jwks.json"
)

// registrar knows the client at each provider, if the configuration names none. A dynamic
// registration is made once in a whole cluster, and kept in the storage like a grant, sealed.
type registrar struct {
	m   *Method
	set *connection.Set

	// refused is the client that a provider has said it does not know; nil if there is none.
	refused atomic.Pointer[refusedClient]

	// denied says that a client was refused by what a browser has brought, and that no account was
	// connected since.
	denied atomic.Bool

	// secret is that of the client that was used last; no description shows it.
	secret atomic.Pointer[string]

	chosen  atomic.Pointer[choice]                  // how the client is registered, as far as that is known
	failing atomic.Pointer[provider.DiscoveryError] // why none is; nil if one is, or nobody has tried
}

// refusedClient is a client that was refused. Some providers give a client its ID again, so what
// was registered since is not meant.
type refusedClient struct {
	id string
	at time.Time
}

// choice is how the client is registered at a provider, and why.
type choice struct{ issuer, way, why string }

// newRegistrar returns the registrar of a method that is bound.
func newRegistrar(m *Method) *registrar {
	return &registrar{m: m, set: connection.NewSet(configOfClients(m))}
}

// configOfClients returns the configuration of what the registrar stores.
func configOfClients(m *Method) connection.Config {
	cfg := configOf(m)
	// No datasource has a name with this ending, so the folder is free.
	cfg.Datasource, cfg.Identity, cfg.Spool, cfg.Observer = cfg.Datasource+".clients", "client", "", nil
	cfg.Grant, cfg.Interactive, cfg.PerUser, cfg.Term = "registration", true, true, record.Term{}
	cfg.Build, cfg.Fetch, cfg.Redeem, cfg.Prepare, cfg.Seed, cfg.SeedOrigin, cfg.Complete = nil, nil, nil, nil, nil, nil, nil
	cfg.Revoke = func(context.Context, *record.Token) error { return nil }
	return cfg
}

// client returns the client for a provider, and puts it into the configuration of a request. Its
// errors are *provider.DiscoveryError, or say that the storage fails.
func (r *registrar) client(ctx context.Context, f *found, to *provider.Config) (*record.Origin, error) {
	if to.ClientID == "" && nameless(&r.m.Options) {
		return nil, r.bind(ctx, f, to, &r.m.Options) // something else in the request says who asks
	}
	if to.ClientID != "" {
		r.chosen.Store(&choice{f.server.Issuer, connection.RegisteredByHand, "client_id is written out"})
		return nil, r.bind(ctx, f, to, &r.m.Options)
	}
	way, err := r.way(f, to)
	if err != nil {
		return nil, err
	}
	if sendsWritten(r.m, to) {
		if err := r.bind(ctx, f, to, &r.m.Options); err != nil {
			return nil, err
		}
	}
	var client *record.Origin
	if way == byDocument {
		client = &record.Origin{ClientID: r.m.Console() + documentName, ClientAuth: r.documentAuth()}
	} else if client, err = r.registered(ctx, f, to); err != nil {
		return nil, err
	}
	to.ClientID, to.ClientSecret, to.ClientAuth = client.ClientID, client.ClientSecret, client.ClientAuth
	r.secret.Store(&client.ClientSecret)
	return client, nil
}

// sendsWritten reports whether requests of a client that the configuration does not name bring
// secrets all the same: a password, an assertion, a caller's token, or what a token_param or
// token_header has from elsewhere.
func sendsWritten(m *Method, to *provider.Config) bool {
	return len(to.Secrets) > 0 || m.Grant != grantAuthorizationCode && m.Grant != grantClientCredentials
}

// documentAuth returns how the client authenticates that the document describes: without a shared
// secret, which a public document cannot have.
func (r *registrar) documentAuth() string {
	if r.m.ClientAuth == provider.PrivateKeyJWT {
		return provider.PrivateKeyJWT
	}
	return provider.ClientAuthNone
}

// way returns how the client is registered: the first of the ways that the operator wants and the
// provider offers.
func (r *registrar) way(f *found, to *provider.Config) (string, error) {
	ways := r.m.Registration
	if len(ways) == 0 {
		ways = registrations
	}
	for _, way := range ways {
		switch {
		case way == byDocument && f.server.TakesMetadataURLs && hasDocument(r.m) && to.RedirectURL == r.m.redirect:
			r.tell(f, way, "the provider takes the address of a metadata document as a client_id")
			return way, nil
		case way == byRegistration && f.server.RegistrationURL != "":
			r.tell(f, way, "the provider registers clients")
			return way, nil
		}
	}
	return "", &provider.DiscoveryError{
		Address: f.server.Address, Reason: "the provider registers no client in a way that is possible here (" + strings.Join(ways, ", ") + ")",
		Option: "register a client at the provider by hand, with the redirect URL " + to.RedirectURL + ", and write client_id and client_secret",
	}
}

// hasDocument reports whether a Client ID Metadata Document can be served that describes the
// client: its address is https, and so is that of the callback.
func hasDocument(m *Method) bool {
	return m.Interactive() && strings.HasPrefix(m.Console(), "https://") &&
		(m.ClientAuth == "" || m.ClientAuth == provider.ClientAuthNone || m.ClientAuth == provider.PrivateKeyJWT)
}

// tell tells the log which way was taken, and why, when that changes.
func (r *registrar) tell(f *found, way, why string) {
	chosen := choice{f.server.Issuer, way, why}
	if last := r.chosen.Swap(&chosen); last == nil || *last != chosen {
		r.m.logger.Info("chose how the client is registered", zap.String("issuer", f.server.Issuer), zap.String("registration", way), zap.String("because", why))
	}
}

// source returns where the client at a provider is kept. What has changed in the configuration
// makes another client.
func (r *registrar) source(issuer string, to *provider.Config) *connection.Source {
	redirect := to.RedirectURL
	if u, err := url.Parse(redirect); err == nil && redirect != r.m.redirect {
		redirect = u.Hostname() // a command waits at another port each time (RFC 8252 §7.3)
	}
	parts := []string{issuer, redirect, r.m.ClientAuth, r.m.Grant}
	if to.ClientName != "" {
		parts = append(parts, to.ClientName)
	}
	return r.set.Source(digest(parts...))
}

// registered returns the client that was registered dynamically, and registers it if there is none
// that is good.
func (r *registrar) registered(ctx context.Context, f *found, to *provider.Config) (*record.Origin, error) {
	check := func(token *record.Token) (bool, error) {
		o, refused, now := token.Origin, r.refused.Load(), time.Now()
		switch {
		case o == nil || o.Issuer != f.server.Issuer:
			return false, nil
		case !ended(o, now) && (refused == nil || refused.id != o.ClientID || token.Obtained.After(refused.at)):
			return true, nil
		}
		return false, checkPause(f, token, now)
	}
	token, err := connection.Once(ctx, r.source(f.server.Issuer, to), check, func(ctx context.Context, before *record.Token) (*record.Token, error) {
		client, err := r.register(ctx, f, r.metadata(f, to))
		if err != nil {
			return nil, err
		}
		now := time.Now()
		client.Registrations = registrationsWith(before, now)
		if to.RedirectURL != r.m.redirect {
			client.Redirect = to.RedirectURL
		}
		r.refused.Store(nil)
		return &record.Token{Access: client.ClientID, Obtained: now, Connected: now, Origin: client}, nil
	})
	if err != nil {
		fail := r.failed(f, err)
		r.failing.Store(fail)
		return nil, fail
	}
	r.failing.Store(nil)
	return token.Origin, nil
}

// register registers the client.
func (r *registrar) register(ctx context.Context, f *found, metadata *provider.ClientMetadata) (*record.Origin, error) {
	at := &provider.Discovery{Client: r.m.client, Timeout: time.Duration(r.m.Timeout), InsecureHTTP: r.m.InsecureHTTP}
	if f.public {
		at.Client = r.m.public
	}
	client, err := at.Register(ctx, f.server.RegistrationURL, metadata)
	if err != nil {
		return nil, err
	}
	if client.ClientAuth == provider.PrivateKeyJWT && r.m.ClientAuth != provider.PrivateKeyJWT || client.ClientAuth == provider.TLSClientAuth {
		return nil, &provider.DiscoveryError{
			Address: f.server.RegistrationURL, Option: "write client_auth, or client_id",
			Reason: "the provider has registered a client that authenticates with " + client.ClientAuth + ", for which there is no key",
		}
	}
	o := &record.Origin{
		Issuer: f.server.Issuer, ClientID: client.ID, ClientSecret: client.Secret, ClientAuth: client.ClientAuth, Registered: true,
	}
	if !client.SecretEnd.IsZero() {
		o.SecretEnd = client.SecretEnd.Unix()
	}
	r.m.logger.Info("registered a client", zap.String("issuer", f.server.Issuer), zap.String("client_id", client.ID), zap.String("client_auth", client.ClientAuth))
	return o, nil
}

// failed returns the error of a registration as one of discovery.
func (r *registrar) failed(f *found, err error) *provider.DiscoveryError {
	fail := asDiscovery(err)
	if fail.Address == "" {
		fail.Address, fail.Reason, fail.Option = f.server.RegistrationURL, "a client could not be registered", "look after the storage, or write client_id"
	}
	if fail.Temporary() && fail.Retry.IsZero() {
		fail.Retry = time.Now().Add(discoveryPause)
	}
	if latest := time.Now().Add(longestWait); fail.Retry.After(latest) {
		fail.Retry = latest
	}
	r.m.logger.Error("registering a client failed", zap.String("address", fail.Address), zap.Error(fail), zap.String("remedy", fail.Option))
	return fail
}

// metadata returns what the client says of itself in a registration.
func (r *registrar) metadata(f *found, to *provider.Config) *provider.ClientMetadata {
	c := clientMetadata(r.m, to)
	c.ClientAuth = r.m.ClientAuth
	if c.ClientAuth == "" {
		c.ClientAuth = preferred(f.server)
	}
	c.Scope, c.DPoP = strings.Join(to.Scopes, " "), r.m.DPoP || f.dpop
	return c
}

// preferred returns how a registered client shall authenticate, as far as the server says what it
// takes. Without a word of it, that is client_secret_basic (RFC 8414 §2).
func preferred(server *provider.ServerMetadata) string {
	for _, way := range []string{provider.ClientSecretBasic, provider.ClientSecretPost, provider.ClientAuthNone} {
		if slices.Contains(server.ClientAuths, way) {
			return way
		}
	}
	return provider.ClientSecretBasic
}

// clientMetadata returns what is said of the client in a registration and in a document alike.
func clientMetadata(m *Method, to *provider.Config) *provider.ClientMetadata {
	c := &provider.ClientMetadata{Name: to.ClientName, GrantTypes: []string{m.Grant}, ApplicationType: "web"}
	if m.Interactive() {
		u, err := url.Parse(to.RedirectURL)
		if err == nil && c.Name == "" {
			c.Name = "Caddy at " + u.Host
		}
		if err == nil && wire.IsLoopback(u.Hostname()) {
			c.ApplicationType = "native"
		}
		c.RedirectURLs, c.ResponseTypes = []string{to.RedirectURL}, []string{"code"}
		c.GrantTypes = append(c.GrantTypes, "refresh_token")
	}
	c.Name = cmp.Or(c.Name, "Caddy")
	if NamesKeys(m) {
		c.JWKSURL = m.Console() + keysName
	}
	return c
}

// refuse notes that a provider does not know the client any more. The next one who needs a client
// has it registered anew.
func (r *registrar) refuse(clientID string) {
	if last := r.refused.Swap(&refusedClient{clientID, time.Now()}); last == nil || last.id != clientID {
		r.m.logger.Warn("the provider does not know the registered client any more; it is registered anew", zap.String("client_id", clientID))
	}
}

// bind makes sure that a client that the operator has registered, or whatever stands in for it, is
// shown to one provider only. Where the API names the provider, an API that names another one
// later could otherwise have the client's secret, a password, an assertion or a caller's token
// sent there: to its token endpoint, or to others where the client authenticates (RFC 9126, RFC
// 7009). The option issuer alone does not keep from that: whoever the API names can say that it is
// that issuer. leg is what names the client.
func (r *registrar) bind(ctx context.Context, f *found, to *provider.Config, leg *Options) error {
	shown := leg.TokenURL == "" || to.PARURL != "" || leg.RevocationURL == "" && to.RevocationURL != ""
	if !f.fromAPI || !shown {
		return nil
	}
	named, key, own := f.server.Issuer, digest("written", to.ClientID), false
	pin, credentials := "pin it: issuer "+named, "client_id was"
	switch {
	case leg.Issuer != "":
		named, key = hostOf(f.server.Address), digest("pinned", named, to.ClientID)
		own = named == hostOf(f.server.Issuer) // nobody else answers there
		pin = "write the issuer behind discover"
	case !leg.Interactive():
		pin = "pin it: discover " + named
	}
	if to.ClientID == "" {
		credentials = "the credentials were"
	}
	first, err := connection.Once(ctx, r.set.Source(key), func(*record.Token) (bool, error) { return true, nil },
		func(context.Context, *record.Token) (*record.Token, error) {
			return &record.Token{Access: named, Obtained: time.Now(), Connected: time.Now()}, nil
		})
	if err != nil {
		return r.failed(f, err)
	}
	if first.Access != named && !own {
		return &provider.DiscoveryError{
			Address: f.server.Address, Option: "if the API has moved, register a client there, and " + pin,
			Reason: "the API names the issuer " + named + ", and " + credentials + " used with " + first.Access + " before, so nothing was sent",
		}
	}
	return nil
}

// again returns the registered client of a flow, which another node may have registered, and which
// may have been registered anew since.
func (r *registrar) again(ctx context.Context, o *record.Origin, to *provider.Config) (*record.Origin, error) {
	token, err := r.source(o.Issuer, to).Latest(ctx)
	if err != nil {
		return nil, err
	}
	if token == nil || token.Origin == nil || token.Origin.ClientID != o.ClientID {
		return nil, errors.New("the client was registered anew since; press Connect again")
	}
	return token.Origin, nil
}
