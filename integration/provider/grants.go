// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// codeLife is how long a code may be redeemed.
const codeLife = 10 * time.Minute

// Rotation is what a server does with a refresh token that is redeemed.
type Rotation int

const (
	// RotateNever keeps it for ever.
	RotateNever Rotation = iota
	// RotateGrace issues a new one each time; the old one may be redeemed again for a while, which
	// issues yet another. Behind that it is as RotateStrict.
	RotateGrace
	// RotateStrict issues a new one each time. To redeem the old one again revokes everything that
	// came of the grant.
	RotateStrict
)

// authorization is an authorization request and what became of it.
type authorization struct {
	authRequest
	issued time.Time // the last code
	family *family   // nil: no code of it has been redeemed
}

// family is what a user has granted: all tokens that came of one code.
type family struct {
	client, user string
	scopes       []string
	authTime     time.Time
	revoked      bool
}

type refreshToken struct {
	family   *family
	spent    time.Time // zero: it is the newest one
	redeemed int
}

// authRequest is a request as zitadel's server gets it: a copy, which does not change while it is
// read.
type authRequest struct {
	*oidc.AuthRequest
	id, user string
	authTime time.Time
}

func (r *authRequest) GetID() string          { return r.id }
func (*authRequest) GetACR() string           { return "" }
func (*authRequest) GetAMR() []string         { return []string{"pwd"} }
func (r *authRequest) GetAudience() []string  { return []string{r.ClientID} }
func (r *authRequest) GetAuthTime() time.Time { return r.authTime }
func (r *authRequest) GetClientID() string    { return r.ClientID }
func (r *authRequest) GetNonce() string       { return r.Nonce }
func (r *authRequest) GetScopes() []string    { return r.Scopes }
func (r *authRequest) GetSubject() string     { return r.user }
func (r *authRequest) Done() bool             { return r.user != "" }
func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// refreshRequest is the grant of a refresh token.
type refreshRequest struct {
	family *family
	scopes []string
}

func (*refreshRequest) GetAMR() []string                   { return []string{"pwd"} }
func (r *refreshRequest) GetAudience() []string            { return []string{r.family.client} }
func (r *refreshRequest) GetAuthTime() time.Time           { return r.family.authTime }
func (r *refreshRequest) GetClientID() string              { return r.family.client }
func (r *refreshRequest) GetScopes() []string              { return r.scopes }
func (r *refreshRequest) GetSubject() string               { return r.family.user }
func (r *refreshRequest) SetCurrentScopes(scopes []string) { r.scopes = scopes }

// CreateAuthRequest implements op.AuthStorage.
func (s *store) CreateAuthRequest(_ context.Context, req *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &authorization{authRequest: authRequest{AuthRequest: req, id: rand.Text()}}
	s.requests[a.id] = a
	return a.copied(), nil
}

func (a *authorization) copied() *authRequest {
	r := a.authRequest
	return &r
}

// AuthRequestByID implements op.AuthStorage.
func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.requests[id]; a != nil {
		return a.copied(), nil
	}
	return nil, errors.New("no such request, or it is done")
}

// allow records who has logged in and granted what a request asks for.
func (s *store) allow(id, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.requests[id]; a != nil {
		a.user, a.authTime = user, time.Now()
	}
}

// SaveAuthCode implements op.AuthStorage.
func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.requests[id]
	if a == nil {
		return errors.New("no such request, or it is done")
	}
	a.issued = time.Now()
	s.codes[code] = a
	return nil
}

// AuthRequestByCode implements op.AuthStorage.
func (s *store) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.codes[code]
	switch {
	case a == nil:
		return nil, errors.New("no such code")
	case a.family != nil:
		return nil, s.codeReused(a)
	case time.Since(a.issued) > codeLife:
		return nil, errors.New("the code has expired")
	}
	return a.copied(), nil
}

// codeReused revokes what has come of a code, RFC 6749 §4.1.2. s.mu is held.
func (s *store) codeReused(a *authorization) error {
	s.codesReused++
	a.family.revoked = true
	return oidc.ErrInvalidGrant().WithDescription("the code was redeemed before")
}

// redeemCode makes a family of an authorization request, once: of two redemptions at the same
// time one fails. s.mu is held.
func (s *store) redeemCode(id string) (*family, error) {
	a := s.requests[id]
	if a == nil {
		for _, redeemed := range s.codes {
			if redeemed.id == id {
				return nil, s.codeReused(redeemed)
			}
		}
		return nil, oidc.ErrInvalidGrant()
	}
	if a.family != nil {
		return nil, s.codeReused(a)
	}
	a.family = &family{client: a.ClientID, user: a.user, scopes: a.Scopes, authTime: a.authTime}
	s.families = append(s.families, a.family)
	return a.family, nil
}

// DeleteAuthRequest implements op.AuthStorage. The codes remain, so that a repeated code is
// recognized.
func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// TokenRequestByRefreshToken implements op.AuthStorage.
func (s *store) TokenRequestByRefreshToken(_ context.Context, text string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.redeemable(text)
	if err != nil {
		return nil, err
	}
	return &refreshRequest{family: t.family, scopes: t.family.scopes}, nil
}

// redeemable returns a refresh token that may be redeemed. If the token was redeemed before, its
// family is revoked. s.mu is held.
func (s *store) redeemable(text string) (*refreshToken, error) {
	t := s.refresh[text]
	switch {
	case t == nil:
		return nil, oidc.ErrInvalidGrant().WithDescription("no such refresh token")
	case t.family.revoked:
		return nil, oidc.ErrInvalidGrant().WithDescription("the grant was revoked")
	case t.spent.IsZero(), s.rotation == RotateNever, s.rotation == RotateGrace && time.Since(t.spent) < s.grace:
		return t, nil
	}
	t.redeemed++
	t.family.revoked = true
	s.familiesReused++
	return nil, oidc.ErrInvalidGrant().WithDescription("the refresh token was redeemed before")
}

// CreateAccessAndRefreshTokens implements op.AuthStorage.
func (s *store) CreateAccessAndRefreshTokens(_ context.Context, req op.TokenRequest, current string) (string, string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f *family
	var err error
	next := rand.Text()
	switch req := req.(type) {
	case *authRequest:
		f, err = s.redeemCode(req.id)
	case *refreshRequest:
		var t *refreshToken
		if t, err = s.redeemable(current); err != nil { // it was redeemed between the two calls
			break
		}
		f = t.family
		t.redeemed++
		switch {
		case s.omit.Load():
			next = ""
		case s.rotation == RotateNever:
			next = current
		case t.spent.IsZero():
			t.spent = time.Now()
		}
	default:
		err = errors.New("a grant without refresh tokens")
	}
	if err != nil {
		return "", "", time.Time{}, err
	}
	if next != "" && next != current {
		s.refresh[next] = &refreshToken{family: f}
	}
	id, expires := s.newToken(&token{client: f.client, user: f.user, scopes: req.GetScopes(), family: f})
	return id, next, expires, nil
}

// GetRefreshTokenInfo implements op.AuthStorage.
func (s *store) GetRefreshTokenInfo(_ context.Context, _, text string) (user, id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.refresh[text]; t != nil {
		return t.family.user, text, nil
	}
	return "", "", op.ErrInvalidRefreshToken
}

// RevokeToken implements op.AuthStorage: an access token goes alone, a refresh token with all
// that came of the same grant. One that is not known is gone already, RFC 7009 §2.2.
func (s *store) RevokeToken(_ context.Context, text, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refresh, access := s.refresh[text], s.tokens[text]
	switch {
	case refresh != nil && refresh.family.client == clientID:
		refresh.family.revoked = true
	case access != nil && access.client == clientID:
		access.revoked = true
	case refresh != nil, access != nil:
		return oidc.ErrInvalidGrant().WithDescription("the token is another client's")
	default:
		return nil
	}
	s.revoked++
	return nil
}
