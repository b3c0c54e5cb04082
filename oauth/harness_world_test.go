// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// world is what the processes of a test share: a storage and a key. The worlds of many nodes, and
// of storages that misbehave, are in oauth/connection.
type world struct {
	t    testing.TB
	disk *oauthtest.Memory
	ring *seal.Ring
}

func newWorld(t testing.TB) *world {
	return &world{t: t, disk: new(oauthtest.Memory), ring: seal.NewRing(oauthtest.NewKey(t))}
}

// bubble runs a test in virtual time, with a world of its own.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t))
		time.Sleep(5 * time.Minute) // for all that is under way
	})
}

// web is an authorization server as HTTP sees it, without a network: virtual time knows nothing of
// one. It rotates refresh tokens.
type web struct {
	life time.Duration // of access tokens
	slow time.Duration // before each answer

	says   string   // the description of errors
	repeat []string // and what stands behind it

	mu      sync.Mutex
	dead    bool // every refresh token is refused
	refresh string
	issued  int
	forms   []url.Values
	codes   map[string]int // how often each was redeemed
}

// end has the provider refuse every refresh token.
func (s *web) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

// RoundTrip implements http.RoundTripper.
func (s *web) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(body))
	s.mu.Lock()
	s.forms = append(s.forms, form)
	s.mu.Unlock()
	timer := time.NewTimer(s.slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	status, answer := s.answer(req.URL.Path, form)
	text, _ := json.Marshal(answer)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(text))), Request: req,
	}, nil
}

// answer answers a request. A code that begins with good is good once, and makes a grant of its
// own.
func (s *web) answer(path string, form url.Values) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := map[string]string{"error": "invalid_grant", "error_description": s.says + " " + strings.Join(s.repeat, " ")}
	var access string
	switch {
	case path == "/revoke":
		return http.StatusOK, nil
	case form.Get("grant_type") == "authorization_code":
		code := form.Get("code")
		if s.codes == nil {
			s.codes = make(map[string]int)
		}
		if s.codes[code]++; s.codes[code] > 1 || !strings.HasPrefix(code, "good") {
			return http.StatusBadRequest, map[string]string{"error": "invalid_grant"}
		}
		access = "of-" + code
	case s.dead || form.Get("refresh_token") != s.refresh:
		return http.StatusBadRequest, refused
	default:
		access = fmt.Sprintf("access-%d", s.issued)
	}
	s.issued++
	s.refresh = fmt.Sprintf("refresh-%d", s.issued)
	return http.StatusOK, map[string]any{"access_token": access, "refresh_token": s.refresh, "expires_in": s.life.Seconds()}
}

// gateway is a process with a whole method: flows, a keeper, users.
type gateway struct {
	*Method

	logs oauthtest.Logs
	pool *connection.Pool
}

// gateway starts a process; change may alter its options.
func (w *world) gateway(s *web, change func(*Method)) *gateway {
	w.t.Helper()
	m := &Method{Options: Options{
		Grant: grantAuthorizationCode, AuthorizationURL: "https://p.example/authorize?tenant=a", TokenURL: "http://127.0.0.1/token",
		RedirectURL: "https://gw.example/connect/callback", ClientID: "id", ClientSecret: oauthtest.ClientSecret,
	}}
	if change != nil {
		change(m)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	w.t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		w.t.Fatal(err)
	}
	g := &gateway{Method: m, pool: new(connection.Pool)}
	m.logger, g.logs = oauthtest.NewLogger()
	ring := w.ring
	m.environment = Environment{Datasource: "crm", Storage: w.disk, Keys: func() (*seal.Ring, error) { return ring, nil }}
	m.client, m.public = provider.New(nil, nil), provider.New(nil, nil)
	m.client.Transport.RegisterProtocol("http", s)
	to, err := m.resolve()
	if err != nil {
		w.t.Fatal(err)
	}
	m.bound = m.identity(to)
	m.set = g.pool.NewSet(configOf(m))
	return g
}

// perUser gives each user a connection.
func perUser(m *Method) { m.Connection = "{http.auth.user.id}" }

// connect connects an account of a user.
func (g *gateway) connect(t *testing.T, user, code string) {
	t.Helper()
	flow, _, err := g.Begin(t.Context(), user, user)
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
