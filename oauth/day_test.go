// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// strict is an API that names its authorization server, and that server, without a network. It
// rotates refresh tokens, and revokes the grant when one comes twice.
type strict struct {
	life time.Duration

	mu         sync.Mutex
	registered int
	consents   int
	lookups    int
	issued     int
	refreshes  map[string]int       // by the user
	refresh    map[string]string    // users, by the refresh token that counts
	spent      map[string]string    // users, by other refresh tokens
	access     map[string]time.Time // the ends of access tokens
	owner      map[string]string    // users, by the access token
	twice      []string             // refresh tokens that came twice
}

// RoundTrip implements http.RoundTripper.
func (s *strict) RoundTrip(req *http.Request) (*http.Response, error) {
	var form url.Values
	if req.Body != nil {
		body, _ := io.ReadAll(req.Body)
		form, _ = url.ParseQuery(string(body))
	}
	time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	res := says(http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Bearer resource_metadata="http://api.localhost/.well-known/oauth-protected-resource/mcp"`}})
	switch req.URL.Path {
	case "/.well-known/oauth-protected-resource/mcp":
		s.lookups++
		res = document(`{"resource":"http://api.localhost/mcp","authorization_servers":["http://as.localhost"]}`)
	case "/.well-known/oauth-authorization-server":
		res = document(strings.ReplaceAll(`{"issuer":"ISS","token_endpoint":"ISS/token","authorization_endpoint":"ISS/authorize","registration_endpoint":"ISS/register",`+
			`"code_challenge_methods_supported":["S256"],"scopes_supported":["offline_access"]}`, "ISS", "http://as.localhost"))
	case "/register":
		s.registered++
		res = document(fmt.Sprintf(`{"client_id":"client-%d","client_secret":"s"}`, s.registered))
	case "/token":
		res = s.token(form)
	}
	res.Request = req
	return res, nil
}

// token is the token endpoint. A code is the name of a user.
func (s *strict) token(form url.Values) *http.Response {
	user := form.Get("code")
	if user != "" {
		s.consents++
	} else {
		text := form.Get("refresh_token")
		if user = s.refresh[text]; user == "" {
			s.twice = append(s.twice, text)
			for other, owner := range s.refresh {
				if owner == s.spent[text] {
					delete(s.refresh, other)
				}
			}
			res := document(`{"error":"invalid_grant"}`)
			res.StatusCode = http.StatusBadRequest
			return res
		}
		delete(s.refresh, text)
		s.spent[text] = user
		s.refreshes[user]++
	}
	s.issued++
	access, refresh := fmt.Sprint("access-", s.issued), fmt.Sprint("refresh-", s.issued)
	s.refresh[refresh], s.access[access], s.owner[access] = user, time.Now().Add(s.life), user
	return document(fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"expires_in":%d,"token_type":"Bearer"}`, access, refresh, int(s.life.Seconds())))
}

// accepts reports whether the API takes an access token as the user's.
func (s *strict) accepts(access, user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner[access] == user && time.Now().Before(s.access[access])
}

// node starts a process with a route to the API, of which the URL is all that is written.
func (s *strict) node(t *testing.T, w *world) *Method {
	t.Helper()
	m, _ := methodOf(t, "oauth2 authorization_code {\ndiscover\nredirect_url https://g.example/connect/callback\nconnection {http.auth.user.id}\n}")
	m.logger, _ = oauthtest.NewLogger()
	if err := m.Bind(Environment{
		Datasource: "crm", BaseURL: "http://api.localhost/mcp", Storage: w.disk, Keys: func() (*seal.Ring, error) { return w.ring, nil },
		KeepAlive: 24 * time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	for _, client := range []*provider.Client{m.client, m.public} {
		client.Transport.RegisterProtocol("http", s)
	}
	pool := new(connection.Pool) // of a process of its own
	m.set, m.registrar.set = pool.NewSet(configOf(m)), pool.NewSet(configOfClients(m))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go m.Keep(ctx)
	return m
}

// TestDay: two people use an API of which only the URL is written, through three nodes, for a day
// of tokens that live for five minutes. Each has consented once. No request fails, no refresh
// token comes twice, and there is one client.
func TestDay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &strict{
			life: 5 * time.Minute, refreshes: make(map[string]int), refresh: make(map[string]string), spent: make(map[string]string),
			access: make(map[string]time.Time), owner: make(map[string]string),
		}
		nodes := []*Method{s.node(t, w), s.node(t, w), s.node(t, w)}
		users := []string{"ann", "bob"}
		for i, user := range users {
			flow, _, err := nodes[i].Begin(t.Context(), user, user)
			if err != nil {
				t.Fatal(err)
			}
			if err := nodes[2-i].Finish(t.Context(), flow, user); err != nil { // the browser comes back to another node
				t.Fatal(err)
			}
		}
		var served, failed atomic.Int64
		for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Duration(5+rand.IntN(20)) * time.Second) {
			var wait sync.WaitGroup
			for i := range len(users) * len(nodes) { // all at once
				wait.Go(func() {
					m, user := nodes[i/2], users[i%2]
					c, err := m.Source(user).Credential(t.Context())
					if served.Add(1); err != nil || !s.accepts(sent(c), user) {
						if failed.Add(1) < 5 {
							t.Errorf("%s after %v: %s, %v", user, time.Since(began), sent(c), err)
						}
					}
				})
			}
			wait.Wait()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t.Logf("%d requests, refreshes %v, %d lookups", served.Load(), s.refreshes, s.lookups)
		for _, user := range users {
			// A token is renewed shortly before it ends: a day has 288 of five minutes.
			if n := s.refreshes[user]; n < 288 || n > 400 {
				t.Errorf("%s: %d refreshes", user, n)
			}
		}
		if failed.Load() > 0 || len(s.twice) > 0 || s.consents != 2 || s.registered != 1 {
			t.Errorf("%d of %d requests have failed; twice: %q; %d consents, %d clients", failed.Load(), served.Load(), s.twice, s.consents, s.registered)
		}
	})
}
