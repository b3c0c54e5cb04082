// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// MayProve reports whether requests of a method may carry proofs of possession (RFC 9449): the
// option dpop says so, or what is discovered may.
func MayProve(m *Method) bool { return m.DPoP || discovers(&m.Options) }

// checkDPoP checks what a token that is bound to a key needs.
func checkDPoP(opts *Options) error {
	switch {
	case !opts.DPoP:
		return nil
	case opts.AddTokenTo != nil && opts.AddTokenTo.Query != "":
		return errors.New("auth oauth2: dpop: a bound token goes into a header field (RFC 9449 §7.1); remove add_token_to query, or dpop")
	case opts.TokenField == fieldIDToken:
		return errors.New("auth oauth2: dpop: a proof is about the access token; remove token_field, or dpop")
	}
	return nil
}

// errNotBound says that a provider has issued a token that is not bound to the key.
var errNotBound = errors.New("the provider has issued a token that is not bound to a key (RFC 9449); remove dpop, or have the provider bind tokens of this client")

// withProofKey returns an origin that has a key, if tokens are to be bound to one: that of before,
// or a new one. It puts the key into the configuration of a request, too.
func withProofKey(m *Method, f *found, to *provider.Config, o, before *record.Origin) (*record.Origin, error) {
	if !m.DPoP && (f == nil || !f.dpop) {
		return o, nil
	}
	if f != nil && len(f.server.DPoP) > 0 && !slices.Contains(f.server.DPoP, provider.ProofAlgorithm) {
		return nil, &provider.DiscoveryError{
			Address: f.server.Address, Reason: provider.ProofAlgorithm + " was expected in dpop_signing_alg_values_supported, and it is not there",
			Option: "use another provider; no other algorithm is possible here",
		}
	}
	var raw []byte
	if before != nil {
		raw = before.Key
	}
	if raw == nil {
		var err error
		if raw, err = provider.NewProofKey(); err != nil {
			return nil, err
		}
	}
	o = o.With(func(o *record.Origin) { o.Key = raw })
	return o, prove(m, to, o)
}

// prove has a request carry a proof, if the grant is bound to a key.
func prove(m *Method, to *provider.Config, o *record.Origin) (err error) {
	if o != nil && o.Key != nil {
		to.Proof, err = provider.ParseProofKey(o.Key, &m.nonces)
	}
	return err
}

// bound returns an error if the token of an answer is not bound to the key that it was asked for
// with. Such a token is given back.
func bound(ctx context.Context, m *Method, to *provider.Config, a *provider.Answer) error {
	if to.Proof == nil || a.Type == "dpop" {
		return nil
	}
	_ = clientFor(m, to.Public.Revocation).Revoke(ctx, to, a.AccessToken, a.RefreshToken) // as good as it gets
	return &provider.Error{Host: a.Host, Status: http.StatusOK, Delivery: provider.Answered, Err: errNotBound}
}

// credentialOf makes the credential of a token.
func credentialOf(m *Method, token *record.Token) *auth.Credential {
	if token.Origin == nil || token.Origin.Key == nil {
		return m.build(token)
	}
	key, err := provider.ParseProofKey(token.Origin.Key, &m.nonces)
	if err != nil { // the record is sealed, so nothing but this program has written it
		m.logger.Error("the key for proofs cannot be read", zap.Error(err))
		return m.build(token)
	}
	return buildAs(&m.Options, token, "DPoP").WithProver(&auth.Prover{
		Prove: func(method string, target *url.URL) (string, error) { return key.Proof(method, target, token.Access) },
		Learn: key.Learn,
	})
}
