// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// registry is a provider that registers clients, without a network.
type registry struct {
	mu         sync.Mutex
	registered []time.Time
	known      map[string]string        // secrets by client
	forgets    bool                     // no client is ever known
	life       time.Duration            // of secrets; 0: for ever
	sameID     bool                     // a client keeps its name, and gets a new secret
	down       func(*http.Request) bool // says what has no answer; nil: everything has one
	refreshes  []string                 // the clients that have sent a refresh token, with their secrets
}

// RoundTrip implements http.RoundTripper.
func (s *registry) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil && s.down(req) {
		return nil, errors.New("it is down")
	}
	status, text := http.StatusOK, `{"access_token":"a","refresh_token":"r","expires_in":3600}`
	switch {
	case strings.HasPrefix(req.URL.Path, "/.well-known/"):
		text = strings.ReplaceAll(`{"issuer":"ISS","token_endpoint":"ISS/token","authorization_endpoint":"ISS/authorize",`+
			`"registration_endpoint":"ISS/register","code_challenge_methods_supported":["S256"]}`, "ISS", "http://localhost")
	case req.URL.Path == "/register":
		s.registered = append(s.registered, time.Now())
		id, end := fmt.Sprint("client-", len(s.registered)), int64(0)
		if s.sameID {
			id = "client"
		}
		if s.life > 0 {
			end = time.Now().Add(s.life).Unix()
		}
		if s.known == nil || s.life > 0 {
			s.known = make(map[string]string)
		}
		s.known[id] = fmt.Sprint("secret-", len(s.registered))
		status, text = http.StatusCreated, fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"client_secret_expires_at":%d}`, id, s.known[id], end)
	default:
		body, _ := io.ReadAll(req.Body)
		form, _ := url.ParseQuery(string(body))
		id, secret, _ := req.BasicAuth()
		if form.Has("refresh_token") {
			s.refreshes = append(s.refreshes, id+" "+secret)
		}
		if s.forgets || secret == "" || s.known[id] != secret {
			status, text = http.StatusUnauthorized, `{"error":"invalid_client"}`
		}
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), Request: req,
	}, nil
}

// count returns how many clients were registered.
func (s *registry) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.registered)
}

// sent returns the clients that have sent a refresh token since it was asked last.
func (s *registry) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.refreshes
	s.refreshes = nil
	return all
}

// fails has requests without an answer from now on, those of which down says so; nil: none.
func (s *registry) fails(down func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// node returns a process with a method that registers its client there.
func (s *registry) node(t *testing.T, w *world, grant string) (*Method, oauthtest.Logs) {
	t.Helper()
	block := "oauth2 " + grant + " {\ndiscover http://localhost\n"
	if grant == grantAuthorizationCode {
		block += "redirect_url https://g.example/connect/callback\n"
	}
	m, logs := methodOf(t, block+"}")
	env := Environment{Datasource: "crm", Storage: w.disk, Keys: func() (*seal.Ring, error) { return w.ring, nil }}
	if err := m.Bind(env); err != nil {
		t.Fatal(err)
	}
	for _, client := range []*provider.Client{m.client, m.public} {
		client.Transport.RegisterProtocol("http", s)
	}
	pool := new(connection.Pool) // of a process of its own
	m.set, m.registrar.set = pool.NewSet(configOf(m)), pool.NewSet(configOfClients(m))
	return m, logs
}

// TestRegistrationPause: a provider that takes none of the clients that it registers has the first
// three replaced at once, and further ones ever more rarely, whichever node asks, and after
// restarts. When the provider has mended itself, the gateway comes to itself, too.
func TestRegistrationPause(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &registry{forgets: true}
		var nodes []*Method
		for range 3 {
			m, _ := s.node(t, w, grantClientCredentials)
			nodes = append(nodes, m)
		}
		if _, err := nodes[0].fetch(t.Context(), nil, nil); err == nil || s.count() != 2 {
			t.Errorf("at first: %d registrations, %v", s.count(), err)
		}
		began := time.Now()
		for i := 0; time.Since(began) < 24*time.Hour; i++ {
			time.Sleep(10 * time.Second)
			var wait sync.WaitGroup
			for _, m := range nodes {
				wait.Go(func() {
					if _, err := m.fetch(t.Context(), nil, nil); err == nil {
						t.Error("a token of a provider that knows no client")
					}
				})
			}
			wait.Wait()
			if i%100 == 99 { // a node starts again
				nodes[i%3], _ = s.node(t, w, grantClientCredentials)
			}
		}
		if n := s.count(); n < 20 || n > 4+7+24 {
			t.Errorf("%d registrations in a day", n)
		}
		s.mu.Lock()
		registered := slices.Clone(s.registered)
		s.mu.Unlock()
		for i, at := range registered {
			if i >= 4 && at.Sub(registered[i-1]) < min(time.Minute<<(i-4), time.Hour) {
				t.Errorf("registration %d came %v after the one before", i, at.Sub(registered[i-1]))
			}
		}
		_, err := nodes[1].fetch(t.Context(), nil, nil)
		fail, ok := errors.AsType[*provider.DiscoveryError](err)
		if !ok || !fail.Temporary() || fail.Retry.Before(time.Now()) || !strings.Contains(fail.Reason, "is not taken any more") || !strings.Contains(fail.Option, "client_id") {
			t.Errorf("meanwhile: %v", err)
		}
		st := new(connection.Status)
		addDiscovered(nodes[1], []*connection.Status{st})
		if st.LastError != connection.DiscoveryFailed || !strings.Contains(st.LastDescription, "the next one is registered at ") {
			t.Errorf("meanwhile the status says %q, %q", st.LastError, st.LastDescription)
		}
		s.mu.Lock()
		s.forgets = false
		s.mu.Unlock()
		time.Sleep(time.Hour)
		before := s.count()
		for _, m := range nodes {
			if token, err := m.fetch(t.Context(), nil, nil); err != nil || token.Access != "a" {
				t.Errorf("afterwards: %v", err)
			}
		}
		if n := s.count(); n > before+1 {
			t.Errorf("afterwards %d clients were registered", n-before)
		}
		st = new(connection.Status)
		if addDiscovered(nodes[1], []*connection.Status{st}); st.LastError != "" {
			t.Errorf("afterwards the status says %q", st.LastDescription)
		}
	})
}

// TestRegistrationPauseWarns: the log says what happens, and shows no secret.
func TestRegistrationPauseWarns(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		m, logs := (&registry{forgets: true}).node(t, w, grantClientCredentials)
		for range 3 {
			_, _ = m.fetch(t.Context(), nil, nil)
		}
		if logs.FilterMessage("registering a client failed").Len() == 0 {
			t.Error("nothing was logged")
		}
		for _, entry := range logs.All() {
			if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), "secret-") {
				t.Errorf("a secret is in %v", entry)
			}
		}
	})
}

// TestRegistrationsWith: what counts as one in a row.
func TestRegistrationsWith(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		registrations int
		age, left     time.Duration // of the client, and of its secret; 0: for ever
		want          int
	}{
		{0, 0, 0, 1},
		{1, time.Second, 0, 2},
		{2, time.Minute, 0, 3},
		{9, time.Hour, 0, 10},
		{9, 24 * time.Hour, 0, 1},
		{1, time.Hour, -time.Second, 2},
		{9, time.Hour, -time.Second, 2},
		{9, time.Hour, time.Hour, 10},
	} {
		o := &record.Origin{Registrations: test.registrations}
		if test.left != 0 {
			o.SecretEnd = now.Add(test.left).Unix()
		}
		if n := registrationsWith(&record.Token{Obtained: now.Add(-test.age), Origin: o}, now); n != test.want {
			t.Errorf("%+v: %d", test, n)
		}
	}
	if registrationsWith(nil, now) != 1 || registrationsWith(new(record.Token), now) != 1 {
		t.Error("the first one")
	}
}
