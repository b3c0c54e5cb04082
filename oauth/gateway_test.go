// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// web is an authorization server as HTTP sees it, without a network: virtual time knows nothing of one.
type web struct {
	p      *issuer
	revoke int // status of answers to revocations; 0: 200
	slow   time.Duration
	unlike bool // the refresh token of each grant is another one

	says   string   // the description of errors
	repeat []string // and what stands behind it

	refreshLife  time.Duration // of refresh tokens; 0: they have no end
	refreshUntil time.Time     // they end then, in any case; zero: they do not

	mu    sync.Mutex
	forms []url.Values
	auths []string
	codes map[string]int // how often each was redeemed
	ended time.Time      // when the refresh token ends; zero: it does not
}

// RoundTrip implements http.RoundTripper.
func (s *web) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(body))
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	s.mu.Lock()
	s.forms = append(s.forms, form)
	s.auths = append(s.auths, req.Header.Get("Authorization"))
	s.mu.Unlock()
	if err := sleep(req.Context(), s.slow); err != nil {
		return nil, err
	}
	status, v := http.StatusOK, any(nil)
	switch {
	case req.URL.Path == "/revoke" && s.revoke != 0:
		status, v = s.revoke, map[string]string{"error": "unsupported_token_type"}
	case req.URL.Path == "/revoke":
	case form.Get("grant_type") == "authorization_code":
		status, v = s.exchange(form.Get("code"))
	case s.over():
		status, v = http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "Token is not active"}
	default:
		a, err := s.p.redeem(req.Context(), form.Get("refresh_token"))
		if e, ok := errors.AsType[*provider.Error](err); ok {
			if e.Delivery == provider.Lost {
				return nil, e
			}
			status, v = e.Status, map[string]string{"error": e.Code, "error_description": s.says + " " + strings.Join(s.repeat, " ")}
		} else {
			v = s.withEnd(map[string]any{
				"access_token": a.AccessToken, "refresh_token": a.RefreshToken, "expires_in": a.Lifetime.Seconds(),
			})
		}
	}
	text, _ := json.Marshal(v)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(text))), Request: req,
	}, nil
}

// exchange redeems a code. Each is good once, and makes a grant of its own.
func (s *web) exchange(code string) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.codes == nil {
		s.codes = make(map[string]int)
	}
	if s.codes[code]++; s.codes[code] > 1 || !strings.HasPrefix(code, "good") {
		return http.StatusBadRequest, map[string]string{"error": "invalid_grant"}
	}
	refresh := s.p.connect().Refresh
	if s.unlike {
		refresh = "refresh-of-" + code
		s.p.mu.Lock()
		s.p.good[refresh] = true
		s.p.mu.Unlock()
	}
	return http.StatusOK, s.endLocked(map[string]any{
		"access_token": "of-" + code, "refresh_token": refresh, "expires_in": s.p.life.Seconds(),
	})
}

// over reports whether the refresh token has ended.
func (s *web) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended.IsZero() && time.Now().After(s.ended)
}

// withEnd adds to an answer when its refresh token ends.
func (s *web) withEnd(answer map[string]any) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(answer)
}

func (s *web) endLocked(answer map[string]any) map[string]any {
	switch {
	case s.refreshLife > 0:
		s.ended = time.Now().Add(s.refreshLife)
	case !s.refreshUntil.IsZero():
		s.ended = s.refreshUntil
	default:
		return answer
	}
	answer["refresh_expires_in"] = int(time.Until(s.ended).Seconds())
	return answer
}

// gateway is a process with a whole method: flows, a keeper, users.
type gateway struct {
	*Method
	logs oauthtest.Logs
}

// gateway starts a process; change may alter its options.
func (w *world) gateway(s *web, change func(*Method)) *gateway {
	w.t.Helper()
	m := &Method{
		Grant: grantAuthorizationCode, AuthorizationURL: "https://p.example/authorize?tenant=a", TokenURL: "http://127.0.0.1/token",
		RedirectURL: "https://gw.example/connect/callback", ClientID: "id", ClientSecret: oauthtest.ClientSecret,
	}
	if change != nil {
		change(m)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	w.t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		w.t.Fatal(err)
	}
	g := &gateway{Method: m}
	m.logger, g.logs = oauthtest.NewLogger()
	ring := w.ring
	m.environment.Datasource = "crm"
	m.environment.Storage, m.environment.Keys = w.disk, func() (*seal.Ring, error) { return ring, nil }
	if m.environment.CacheSize == 0 {
		m.environment.CacheSize = 1000
	}
	m.client = provider.New(nil, nil)
	m.client.Transport.RegisterProtocol("http", s)
	to, err := m.resolve()
	if err != nil {
		w.t.Fatal(err)
	}
	m.bound = m.identity(to)
	m.set = newSet(m.config(), new(Pool))
	return g
}

// revoked returns the tokens that the provider was told of, in their order.
func (s *web) revoked() (tokens []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, form := range s.forms {
		if form.Has("token") {
			tokens = append(tokens, form.Get("token"))
		}
	}
	return tokens
}

// revokes gives the provider a revocation endpoint.
func revokes(m *Method) { m.RevocationURL = "http://127.0.0.1/revoke" }

// perUser gives each user a connection.
func perUser(m *Method) { m.Connection = "{http.auth.user.id}" }

// connect connects an account of a user.
func (g *gateway) connect(t *testing.T, user, code string) {
	t.Helper()
	flow, _, err := g.Begin(user, user)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Finish(t.Context(), flow, code); err != nil {
		t.Fatal(err)
	}
}

// serves returns the token that a user's request is sent with, or why there is none.
func (g *gateway) serves(t *testing.T, user string) (string, error) {
	t.Helper()
	c, err := g.Source(user).Credential(t.Context())
	if err != nil {
		return "", err
	}
	return sent(c), nil
}
