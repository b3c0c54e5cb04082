// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// store is the storage of the server: its clients, and what it has issued. It implements what the
// grants client_credentials, authorization_code and refresh_token, introspection and revocation
// need.
type store struct {
	notNeeded
	signingKeys

	life atomic.Int64 // of new access tokens, in nanoseconds
	omit *atomic.Bool // faults.OmitRefreshToken

	mu       sync.Mutex
	clients  map[string]*client
	tokens   map[string]*token         // access tokens, by their ids
	requests map[string]*authorization // by their ids
	codes    map[string]*authorization
	refresh  map[string]*refreshToken
	families []*family

	rotation Rotation
	grace    time.Duration

	familiesReused, codesReused, revoked int
}

// notNeeded is the rest of a storage. A call of it would end the test with a panic, because there
// is none. It is a struct, so that its methods lie deeper than those of signingKeys.
type notNeeded struct{ op.Storage }

// token is an access token.
type token struct {
	client, user string
	scopes       []string
	expires      time.Time
	revoked      bool
	family       *family // nil for one of a client itself
}

func newStore() *store {
	return &store{
		signingKeys: newSigningKeys(), clients: map[string]*client{}, tokens: map[string]*token{}, requests: map[string]*authorization{},
		codes: map[string]*authorization{}, refresh: map[string]*refreshToken{},
	}
}

// valid returns the access token with an id if it has neither expired nor been revoked.
func (s *store) valid(id string) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[id]
	if t == nil || t.revoked || t.family != nil && t.family.revoked || !time.Now().Before(t.expires) {
		return nil
	}
	return t
}

// newToken makes an access token. s.mu is held.
func (s *store) newToken(t *token) (id string, expires time.Time) {
	id = rand.Text()
	// The server tells whole seconds of what is left, so a token lives a little longer than it
	// says.
	t.expires = time.Now().Add(time.Duration(s.life.Load()) + 200*time.Millisecond)
	s.tokens[id] = t
	return id, t.expires
}

// CreateAccessToken implements op.AuthStorage.
func (s *store) CreateAccessToken(_ context.Context, req op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &token{client: req.GetSubject(), user: req.GetSubject(), scopes: req.GetScopes()}
	if request, ok := req.(*authRequest); ok {
		f, err := s.redeemCode(request.id)
		if err != nil {
			return "", time.Time{}, err
		}
		t.family, t.client = f, f.client
	}
	id, expires := s.newToken(t)
	return id, expires, nil
}

// GetClientByClientID implements op.OPStorage.
func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[id]; c != nil {
		return c, nil
	}
	return nil, errors.New("no such client")
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *store) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil || c.secret == "" || c.secret != secret {
		return nil, errors.New("no such client, or another secret")
	}
	return c, nil
}

// AuthorizeClientIDSecret implements op.OPStorage.
func (s *store) AuthorizeClientIDSecret(ctx context.Context, id, secret string) error {
	_, err := s.ClientCredentials(ctx, id, secret)
	return err
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (*store) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Issuer: id, Scopes: scopes, Audience: oidc.Audience{id}}, nil
}

// SetIntrospectionFromToken implements op.OPStorage.
func (s *store) SetIntrospectionFromToken(_ context.Context, res *oidc.IntrospectionResponse, id, _, _ string) error {
	t := s.valid(id)
	if t == nil {
		return errors.New("no such token")
	}
	res.ClientID, res.Subject, res.Scope, res.Expiration = t.client, t.user, t.scopes, oidc.FromTime(t.expires)
	return nil
}

// SetUserinfoFromToken implements op.OPStorage.
func (s *store) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, _, _ string) error {
	t := s.valid(id)
	if t == nil {
		return errors.New("no such token")
	}
	info.Subject = t.user
	return nil
}

// SetUserinfoFromScopes implements op.OPStorage.
func (*store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// GetKeyByIDAndClientID implements op.OPStorage.
func (s *store) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil || c.key == nil || c.key.KeyID != keyID {
		return nil, errors.New("the client has no such key")
	}
	return c.key, nil
}

// Health implements op.Storage.
func (*store) Health(context.Context) error { return nil }

// client is a client that may use every grant. One without a secret is a public one: it must use
// PKCE.
type client struct {
	id, secret string
	redirects  []string
	key        *jose.JSONWebKey // of a client that authenticates with private_key_jwt
}

func (c *client) GetID() string                        { return c.id }
func (c *client) RedirectURIs() []string               { return c.redirects }
func (*client) PostLogoutRedirectURIs() []string       { return nil }
func (*client) ApplicationType() op.ApplicationType    { return op.ApplicationTypeWeb }
func (*client) ResponseTypes() []oidc.ResponseType     { return []oidc.ResponseType{oidc.ResponseTypeCode} }
func (*client) LoginURL(id string) string              { return loginPath + "?id=" + id }
func (*client) AccessTokenType() op.AccessTokenType    { return op.AccessTokenTypeBearer }
func (*client) IDTokenLifetime() time.Duration         { return time.Hour }
func (*client) DevMode() bool                          { return true }
func (*client) IsScopeAllowed(string) bool             { return true }
func (*client) IDTokenUserinfoClaimsAssertion() bool   { return false }
func (*client) ClockSkew() time.Duration               { return 0 }
func (*client) RestrictAdditionalIdTokenScopes() keeps { return keep }
func (*client) RestrictAdditionalAccessTokenScopes() keeps {
	return keep
}

func (*client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials, oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (c *client) AuthMethod() oidc.AuthMethod {
	if c.key != nil {
		return oidc.AuthMethodPrivateKeyJWT
	}
	if c.secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

type keeps = func([]string) []string

func keep(scopes []string) []string { return scopes }
