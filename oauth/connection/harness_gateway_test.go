// SPDX-License-Identifier: Apache-2.0

package connection

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

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// web is an authorization server as HTTP sees it, without a network: virtual time knows nothing of
// one.
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

// options are what a test can set of a gateway.
type options struct {
	Config

	provider provider.Config
}

// gateway is a process with a provider behind HTTP: a keeper, users, people who connect accounts.
type gateway struct {
	*Set

	logs     oauthtest.Logs
	client   *provider.Client
	provider provider.Config
}

// gateway starts a process; change may alter its options.
func (w *world) gateway(s *web, change func(*options)) *gateway {
	w.t.Helper()
	logger, logs := oauthtest.NewLogger()
	ring := w.ring
	o := options{
		Config: Config{
			Datasource: "crm", Identity: "identity", Grant: "authorization_code", Interactive: true,
			Storage: w.disk, Keys: func() (*seal.Ring, error) { return ring, nil }, CacheSize: 1000,
			Timeout: timeout, Build: bearer, Logger: logger,
		},
		provider: provider.Config{
			TokenURL: "http://127.0.0.1/token", ClientID: "id", ClientSecret: oauthtest.ClientSecret, Timeout: timeout,
		},
	}
	if change != nil {
		change(&o)
	}
	g := &gateway{logs: logs, client: provider.New(nil, nil), provider: o.provider}
	g.client.Transport.RegisterProtocol("http", s)
	o.Redeem = func(ctx context.Context, known func() []string, mine *record.Token) (*provider.Answer, error) {
		cfg := g.provider
		cfg.Tokens = known
		return g.client.Refresh(ctx, &cfg, mine.Refresh)
	}
	o.Revoke = func(ctx context.Context, token *record.Token) error {
		return g.client.Revoke(ctx, &g.provider, token.Access, token.Refresh)
	}
	g.Set = new(Pool).NewSet(o.Config)
	return g
}

// timeout bounds the token requests of tests.
const timeout = 10 * time.Second

// bearer is the credential of a token.
func bearer(token *record.Token) *auth.Credential {
	return auth.NewCredential(auth.Placement{Header: "Authorization"}, "Bearer "+token.Access, token.Access)
}

// revokes gives the provider a revocation endpoint.
func revokes(o *options) { o.provider.RevocationURL = "http://127.0.0.1/revoke" }

// perUser gives each user a connection.
func perUser(o *options) { o.PerUser = true }

// flow is what somebody brings back from the provider. A ticket is of the account that there was.
type flow struct {
	user      string
	ticket    bool
	connected int64
}

// finish redeems a code, and connects the account.
func (g *gateway) finish(ctx context.Context, f flow, code string) error {
	answer, err := g.client.Exchange(ctx, &g.provider, code, "")
	if err != nil {
		return err
	}
	token := record.New(IssuedBy(answer), g.Term, nil)
	token.Identity, token.Connected = g.Identity, token.Obtained
	err = g.Source(f.user).Connect(ctx, token, func(base *record.Token) error {
		if f.ticket && base != nil && record.Millis(base.Connected) != f.connected {
			return errUsed
		}
		return nil
	})
	if f.ticket && errors.Is(err, ErrOvertaken) {
		return errUsed // as oauth.Method.Finish says it
	}
	return err
}

var errUsed = errors.New("the ticket was used")

// connect connects an account of a user.
func (g *gateway) connect(t *testing.T, user, code string) {
	t.Helper()
	if err := g.finish(t.Context(), flow{user: user}, code); err != nil {
		t.Fatal(err)
	}
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

// serves returns the token that a user's request is sent with, or why there is none.
func (g *gateway) serves(t *testing.T, user string) (string, error) {
	t.Helper()
	c, err := g.Source(user).Credential(t.Context())
	if err != nil {
		return "", err
	}
	return sent(c), nil
}
