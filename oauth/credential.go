// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"net/http"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// build makes the credential of a token.
func (opts *Options) build(token *record.Token) *auth.Credential {
	return buildAs(opts, token, "Bearer")
}

// buildAs makes the credential of a token of a type (RFC 6749 §7.1), which is the prefix by
// default.
func buildAs(opts *Options, token *record.Token, prefix string) *auth.Credential {
	val := token.Access
	if opts.TokenField == fieldIDToken {
		val = token.ID
	}
	place := opts.Placement()
	if opts.HeaderPrefix != nil {
		prefix = *opts.HeaderPrefix
	}
	if place.Header != "" && prefix != "" {
		return auth.NewCredential(place, prefix+" "+val, val)
	}
	return auth.NewCredential(place, val)
}

// Placement implements auth.Method.
func (opts *Options) Placement() auth.Placement {
	switch {
	case opts.AddTokenTo == nil:
		return auth.Placement{Header: "Authorization"}
	case opts.AddTokenTo.Query != "":
		return auth.Placement{Query: opts.AddTokenTo.Query}
	default:
		return auth.Placement{Header: http.CanonicalHeaderKey(opts.AddTokenTo.Header)}
	}
}

// Credential implements auth.Method.
func (m *Method) Credential(ctx context.Context) (*auth.Credential, error) {
	switch {
	case m.PerCaller():
		return nil, &provider.Error{Err: errPerCaller}
	case m.PerUser():
		// Each connection belongs to one user; SourceFor finds it.
		return nil, &record.AuthorizationError{Reason: record.ReasonNotConnected}
	}
	return m.set.Shared().Credential(ctx)
}

// Current implements auth.Method.
func (m *Method) Current() *auth.Credential {
	if m.PerUser() {
		return nil
	}
	return m.set.Shared().Current()
}

// Renewable implements auth.Method.
func (*Method) Renewable() bool { return true }

// Refresh implements auth.Method.
func (m *Method) Refresh(ctx context.Context, refused *auth.Credential) (*auth.Credential, error) {
	return m.set.Shared().Refresh(ctx, refused)
}

// PerUser implements auth.PerRequest: each user has a connection, or each caller's own token is
// exchanged.
func (m *Method) PerUser() bool { return m.Options.PerUser() || m.PerCaller() }

// SourceFor implements auth.PerRequest.
func (m *Method) SourceFor(repl *caddy.Replacer) (source auth.Source, ok bool) {
	if m.PerCaller() {
		s, ok := m.exchanges.source(m, repl)
		if !ok { // a nil *caller.Source would be a source that is not nil
			return nil, false
		}
		return s, true
	}
	if !m.PerUser() {
		return m, true
	}
	key, ok := m.Key(repl)
	if !ok {
		return nil, false
	}
	return m.Source(key), true
}

// Confirm implements auth.Confirmer.
func (m *Method) Confirm(fresh *auth.Credential) { m.set.Shared().Confirm(fresh) }

// term returns how long a token is used.
func (opts *Options) term() record.Term {
	return record.Term{
		Configured: time.Duration(opts.ExpiresIn), IDToken: opts.TokenField == fieldIDToken, Before: (*time.Duration)(opts.RefreshBefore),
	}
}
