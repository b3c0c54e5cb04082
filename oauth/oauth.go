// SPDX-License-Identifier: Apache-2.0

// Package oauth is the method `oauth2` of the directive authenticated_api: it authenticates
// requests with an OAuth 2.0 access token. The package has the options and their Caddyfile,
// names the grants, and has the flow in which a person connects an account in a browser. It
// knows nothing of HTTP handlers.
//
// The packages below it: package provider makes one request to a token endpoint, and says what
// became of it. Package record has the tokens, and the sealed records in the storage. Package
// connection is the life of a connection among many nodes: when a token is renewed, by which
// node, and what follows from a failure. Package caller has the tokens that callers' own tokens
// were exchanged for. Package console is the web page on which people connect
// accounts.
//
// The words of these packages, each with one meaning:
//
//   - connection: what stands between a datasource and one account at the provider. Either all
//     requests share a connection, or each user has one.
//   - record: the stored form of a connection: one sealed value in Caddy's storage.
//   - generation: the number of a record's content. Each new token has the next number.
//   - grant: what the provider has agreed to, by client_credentials or by a person's consent
//     (authorization_code). Each consent is a new grant.
//   - claim: a mark in the record by which a node reserves the refresh token for itself.
//   - lease: how long other nodes respect a claim without a sign of its owner.
//   - doubt: the provider may have seen the refresh token already, and the answer was lost.
//   - recheck: the reading of a record again, because another node may have written it.
//   - placeholder: a token in memory that stands for a record of which nothing can be used.
//   - unsaved: a token that the storage does not have yet. It is used from memory.
//   - spool: a folder of this machine for unsaved tokens of a process that has ended.
//   - presence, entry: the entry of a node in the storage says that the node may write records.
//     The presence of a node is what it knows of all entries.
//   - operation: work on a connection that excludes all other work on it in this process.
//   - rival: another node whose write may lie below a slow write of ours.
//   - flow: an authorization that is under way in a browser, from the click to the callback.
//   - ticket: a link with which somebody who is no user can connect one connection once.
//   - identity: what tokens are issued for, as a digest: the grant, the provider and the client.
//   - node: one process of Caddy. Nodes with the same storage are a cluster.
//
// How nodes share one refresh token is told in docs/reliability.md, "How a token is renewed",
// and in the comment of package connection.
package oauth

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(Method)) }

// Method authenticates requests with an OAuth 2.0 access token (RFC 6749). The token is fetched
// when it is first needed, renewed in the background before it expires, kept in Caddy's storage,
// sealed, and renewed once more when the API refuses it.
type Method struct {
	Options

	logger *zap.Logger

	// What Bind sets.
	environment Environment
	bound       string // the identity that the configuration was loaded with; see identity
	facts       Facts
	client      *provider.Client
	exchanges   *exchanger       // of the grant token_exchange; nil for other grants
	public      *provider.Client // as client, and never at a private address
	discovery   *discovery       // nil without the option discover
	second      *discovery       // of the second leg; nil without the option discover there
	registrar   *registrar       // nil without either, and without a key for refresh_token
	wishes      *wishes          // as discovery, and nil for client_credentials
	nonces      provider.Nonces  // that servers want in proofs
	set         *connection.Set
}

// CaddyModule returns the Caddy module information.
func (*Method) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.auth.oauth2",
		New: func() caddy.Module { return new(Method) },
	}
}

// Provision implements caddy.Provisioner.
func (m *Method) Provision(ctx caddy.Context) error {
	m.logger = ctx.Logger()
	return m.provision(ctx, m.logger)
}

// Cleanup implements caddy.CleanerUpper.
func (m *Method) Cleanup() error {
	if m.set != nil {
		m.set.Close()
		if m.registrar != nil {
			m.registrar.set.Close()
		}
		m.public.CloseIdleConnections()
		m.client.CloseIdleConnections()
	}
	return nil
}

// Interface guards
var (
	_ auth.PerRequest         = (*Method)(nil)
	_ caddy.Provisioner       = (*Method)(nil)
	_ caddy.Validator         = (*Method)(nil)
	_ caddy.CleanerUpper      = (*Method)(nil)
	_ zapcore.ObjectMarshaler = (*Method)(nil)
)
