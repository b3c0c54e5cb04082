// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/caller"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// exchanger has the tokens that callers' tokens were exchanged for.
type exchanger struct {
	cache *caller.Cache
	rest  atomic.Pointer[rest]
}

// rest is a digest of what an exchanged token depends on besides the caller's token. Files may
// change it, so it is made anew once in restLife.
type rest struct {
	digest []byte
	at     time.Time
}

const restLife = time.Second

// maxSubject bounds a caller's token. Entra's, with many groups, have some 10 kB.
const maxSubject = 64 << 10

// digestOf returns the digest of the rest.
func (x *exchanger) digestOf(m *Method, now time.Time) []byte {
	last := x.rest.Load()
	if last != nil && now.Sub(last.at) < restLife {
		return last.digest
	}
	to, err := m.resolve()
	switch {
	case err == nil:
		sum := sha256.Sum256([]byte(m.identity(to)))
		last = &rest{sum[:], now}
	case last == nil:
		return nil // the exchange will fail, and say why
	default:
		last = &rest{last.digest, now}
	}
	x.rest.Store(last)
	return last.digest
}

// buffers are for what is hashed.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// source returns the source of the caller's token in a request, or false if there is none.
func (x *exchanger) source(m *Method, repl *caddy.Replacer) (*caller.Source, bool) {
	text, ok := m.callers.subject.ExpandAll(repl)
	subject, is := bearerToken(text)
	if !ok || !is {
		return nil, false
	}
	actor := ""
	if m.callers.actor != nil {
		if text, ok = m.callers.actor.ExpandAll(repl); !ok {
			return nil, false
		}
		if actor, ok = bearerToken(text); !ok {
			return nil, false
		}
	}
	buf := buffers.Get().(*[]byte)
	// The digest has a fixed length, and there is no NUL in a token.
	*buf = append(append(append(append((*buf)[:0], x.digestOf(m, time.Now())...), subject...), 0), actor...)
	key := caller.Key(sha256.Sum256(*buf))
	clear(*buf)
	buffers.Put(buf)
	if known := x.cache.Known(key); known != nil {
		return known, true
	}
	return x.cache.Source(key, caller.Subject{Token: strings.Clone(subject), Actor: strings.Clone(actor), End: endOf(subject, actor)}), true
}

// bearerToken returns the token in the value of a placeholder, which may have the scheme Bearer in
// front. A value of another scheme, or one that cannot be a token, is none.
func bearerToken(text string) (token string, ok bool) {
	token = text
	if scheme, behind, cut := strings.Cut(text, " "); cut && strings.EqualFold(scheme, "Bearer") {
		token = strings.Trim(behind, " ")
	}
	if token == "" || len(token) > maxSubject {
		return "", false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", false
		}
	}
	return token, true
}

// endOf returns when the first of some tokens ends, as far as they say so themselves.
func endOf(tokens ...string) (end time.Time) {
	for _, token := range tokens {
		if at := jwtEnd(token); !at.IsZero() && (end.IsZero() || at.Before(end)) {
			end = at
		}
	}
	return end
}

// jwtEnd returns the end of a JSON Web Token (RFC 7519 §4.1.4); zero if the token is none, or does
// not say it. Nobody verifies it here: a caller that lies shortens or prolongs how long its own
// token is remembered, and the provider has judged it before.
func jwtEnd(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp json.Number `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	secs, err := claims.Exp.Float64()
	if err != nil || secs <= 0 || secs > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(secs), 0)
}

// callerErrors are the errors by which a provider refuses the caller's token, and not the gateway:
// RFC 8693 §2.2.2 has invalid_request for it, and Entra has words of its own for a user who must
// act.
var callerErrors = []string{"invalid_request", "invalid_grant", "access_denied", "interaction_required", "consent_required", "login_required"}

// subjectError returns the caller's error if a provider has refused the caller's token, and err
// otherwise. In the second leg, what is refused was issued for that token: invalid_grant says so
// of an assertion (RFC 7523 §3.1), and invalid_request of the request, which the gateway has made.
func subjectError(err error, second bool) error {
	codes := callerErrors
	if second {
		codes = callerErrors[1:]
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && !e.Inconclusive() && slices.Contains(codes, e.Code) {
		return &caller.SubjectError{Err: e, Second: second}
	}
	return err
}

// exchangeToken exchanges a caller's token, and once more for the other provider where there are
// two legs.
func exchangeToken(ctx context.Context, m *Method, subject caller.Subject) (*record.Token, error) {
	to, err := configuration(m, func() []string { return []string{subject.Token, subject.Actor} })
	if err != nil {
		return nil, err
	}
	origin, err := completeExchange(ctx, m, to)
	if err != nil {
		return nil, err
	}
	answer, err := requested(ctx, m, to, func() (*provider.Answer, error) {
		return clientFor(m, to.Public.Token).ExchangeToken(ctx, to, subject.Token, subject.Actor)
	})
	gone(m, origin, err)
	if err != nil {
		return nil, subjectError(err, false)
	}
	last := to
	if then := to.TokenExchange.Then; then != nil {
		first := answer
		last = then
		if answer, err = requested(ctx, m, then, func() (*provider.Answer, error) {
			return clientFor(m, then.Public.Token).ThenJWTBearer(ctx, to, first.AccessToken)
		}); err != nil {
			return nil, subjectError(err, true)
		}
	}
	if err := bound(ctx, m, last, answer); err != nil {
		return nil, err
	}
	token := issued(m, answer, to, nil)
	token.Refresh = "" // the caller's token is exchanged anew
	if origin != nil && origin.Key != nil {
		token.Origin = origin
	}
	return token, nil
}

// completeExchange is complete for both legs. What the second one finds out of the API is what the
// first one asks for: an identity assertion is for the API's authorization server, whose issuer is
// its audience, and for the API, which is its resource (Identity Assertion Authorization Grant).
func completeExchange(ctx context.Context, m *Method, to *provider.Config) (*record.Origin, error) {
	origin, err := complete(ctx, m, to, nil)
	then := to.TokenExchange.Then
	if err != nil || then == nil {
		return origin, err
	}
	then.Proof, to.Proof = to.Proof, nil // the API gets the token of the second leg
	if m.second == nil {
		return origin, nil
	}
	f, err := m.second.get(ctx)
	if err != nil {
		return nil, discoveryFailed(err)
	}
	if err = f.fill(m.Then, then); err == nil {
		err = m.registrar.bind(ctx, f, then, m.Then)
	}
	if err != nil {
		return nil, discoveryFailed(err)
	}
	to.Audience = cmp.Or(to.Audience, f.server.Issuer)
	if len(to.Resource) == 0 && f.resource != "" && !m.ResourceOff {
		to.Resource = []string{f.resource}
	}
	if origin, err = withProofKey(m, f, then, origin, origin); err != nil {
		return nil, discoveryFailed(err)
	}
	return origin, nil
}
