// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// moving is an API that names one authorization server, and later another one, without a network.
type moving struct {
	mu    sync.Mutex
	names string // the host of the server that the API names
	down  bool   // token endpoints have no answer
	kind  string // of the tokens
	got   []string
	keys  []string // of the proofs
}

// RoundTrip implements http.RoundTripper.
func (s *moving) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issuer := "http://" + req.URL.Host
	res := says(http.StatusUnauthorized, nil)
	switch {
	case strings.HasPrefix(req.URL.Path, "/.well-known/oauth-protected-resource"):
		res = document(`{"resource":"http://api.localhost","authorization_servers":["http://` + s.names + `"]}`)
		res.Header.Set("Cache-Control", "no-store")
	case strings.HasPrefix(req.URL.Path, "/.well-known/"):
		res = document(`{"issuer":"` + issuer + `","token_endpoint":"` + issuer + `/token","authorization_endpoint":"` + issuer + `/a","code_challenge_methods_supported":["S256"],"client_id_metadata_document_supported":true}`)
	case req.URL.Path == "/token":
		body, _ := io.ReadAll(req.Body)
		form, _ := url.ParseQuery(string(body))
		s.got = append(s.got, req.URL.Host+" "+form.Get("refresh_token"))
		if proof := req.Header.Get("Dpop"); proof != "" {
			parsed, _, _ := jwt.NewParser().ParseUnverified(proof, jwt.MapClaims{})
			key, _ := parsed.Header["jwk"].(map[string]any)
			s.keys = append(s.keys, key["x"].(string))
		}
		if s.down {
			return nil, errors.New("it is down")
		}
		res = document(`{"access_token":"a","refresh_token":"` + form.Get("refresh_token") + `+","expires_in":3600,"token_type":"` + s.kind + `"}`)
	}
	res.Request = req
	return res, nil
}

// set changes the server.
func (s *moving) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// node returns a process with a method of that API.
func (s *moving) node(t *testing.T, w *world, lines string) (*Method, oauthtest.Logs) {
	t.Helper()
	m, _ := methodOf(t, "oauth2 authorization_code {\nredirect_url https://g.example/connect/callback\n"+lines+"\n}")
	var logs oauthtest.Logs
	m.logger, logs = oauthtest.NewLogger()
	env := Environment{Datasource: "crm", BaseURL: "http://api.localhost", Storage: w.disk, Keys: func() (*seal.Ring, error) { return w.ring, nil }}
	if err := m.Bind(env); err != nil {
		t.Fatal(err)
	}
	for _, client := range []*provider.Client{m.client, m.public} {
		client.Transport.RegisterProtocol("http", s)
	}
	pool := new(connection.Pool)
	m.set = pool.NewSet(configOf(m))
	if m.registrar != nil {
		m.registrar.set = pool.NewSet(configOfClients(m))
	}
	return m, logs
}

// TestSeedOrigin: the refresh token of the configuration goes to the issuer that was found first,
// and to no other one, before it was redeemed and afterwards, whichever node asks.
func TestSeedOrigin(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &moving{names: "first.localhost", down: true, kind: "Bearer"}
		// The client is the address of its metadata, which any server may get.
		const lines = "discover\nregistration metadata_document\nrefresh_token seed"
		nodes := make([]*Method, 2)
		for i := range nodes {
			nodes[i], _ = s.node(t, w, lines)
		}
		if _, err := nodes[0].Source("").Credential(t.Context()); err == nil || !slices.Contains(s.got, "first.localhost seed") {
			t.Errorf("at first: %q, %v", s.got, err)
		}
		s.set(func() { s.names, s.down, s.got = "second.localhost", false, nil })
		time.Sleep(10 * time.Minute)
		nodes[0], _ = s.node(t, w, lines) // it starts again, and knows of nothing
		for _, m := range nodes {
			_, err := m.Source("").Credential(t.Context())
			if err == nil || !strings.Contains(err.Error(), "nothing was sent") {
				t.Errorf("with another issuer: %v", err)
			}
		}
		if len(s.got) > 0 {
			t.Errorf("with another issuer: %q", s.got)
		}
		s.set(func() { s.names = "first.localhost" })
		time.Sleep(10 * time.Minute)
		for _, m := range nodes {
			_, err := m.Source("").Credential(t.Context())
			for range 60 { // what is too old serves while it is fetched anew
				if err != nil {
					time.Sleep(2 * time.Second)
					_, err = m.Source("").Credential(t.Context())
				}
			}
			if err != nil {
				t.Errorf("with the first issuer: %v", err)
			}
		}
		s.set(func() { s.names = "second.localhost" })
		time.Sleep(10 * time.Minute)
		for _, m := range nodes {
			if err := m.Source("").Renew(t.Context()); err != nil {
				t.Errorf("a refresh: %v", err)
			}
		}
		if want := []string{"first.localhost seed", "first.localhost seed+", "first.localhost seed++"}; !slices.Equal(s.got, want) {
			t.Errorf("sent %q, want %q", s.got, want)
		}
		if o := nodes[0].Source("").Token().Origin; o == nil || o.Issuer != "http://first.localhost" {
			t.Error("the grant has no issuer")
		}
	})
}

// TestAdoptOrigin: what is adopted is renewed where it was redeemed.
func TestAdoptOrigin(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &moving{names: "first.localhost", kind: "DPoP"}
		m, _ := s.node(t, w, "discover\ndpop\nissuer http://first.localhost")
		if err := Adopt(t.Context(), m, "", "mine"); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.names = "second.localhost" })
		time.Sleep(10 * time.Minute)
		m, _ = s.node(t, w, "discover\ndpop\nissuer http://first.localhost")
		if err := m.Source("").Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []string{"first.localhost mine", "first.localhost mine+"}; !slices.Equal(s.got, want) {
			t.Errorf("sent %q, want %q", s.got, want)
		}
		if len(s.keys) != 2 || s.keys[0] != s.keys[1] {
			t.Errorf("proofs with the keys %q", s.keys)
		}
	})
}

// TestSeedProofs: with dpop, all attempts of all nodes to redeem a seed have one key, which its
// tokens are bound to. A provider that does not bind them loses nothing.
func TestSeedProofs(t *testing.T) {
	for _, kind := range []string{"DPoP", "Bearer"} {
		for _, discover := range []string{"discover\nissuer http://first.localhost", "client_id i\nclient_secret s\ntoken_url http://first.localhost/token\nauthorization_url http://first.localhost/a"} {
			bubble(t, func(t *testing.T, w *world) {
				s := &moving{names: "first.localhost", down: true, kind: kind}
				lines := discover + "\ndpop\nrefresh_token seed"
				one, _ := s.node(t, w, lines)
				if _, err := one.Source("").Credential(t.Context()); err == nil {
					t.Error("a token of a provider that is down")
				}
				s.set(func() { s.down = false })
				time.Sleep(time.Minute)
				other, logs := s.node(t, w, lines)
				c, err := other.Source("").Credential(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				h := make(http.Header)
				c.SetHeader(h)
				if got := h.Get("Authorization"); got != kind+" a" {
					t.Errorf("sent %q", got)
				}
				if n := logs.FilterMessageSnippet("has not bound the token").Len(); (n == 1) != (kind == "Bearer") {
					t.Errorf("%s: %d warnings", kind, n)
				}
				if err := other.Source("").Renew(t.Context()); err != nil || s.got[len(s.got)-1] != "first.localhost seed+" {
					t.Errorf("a refresh: %q %v", s.got, err)
				}
				slices.Sort(s.keys)
				if proofs := len(s.keys); len(slices.Compact(s.keys)) != 1 || proofs != len(s.got) && kind == "DPoP" {
					t.Errorf("%d requests with %d proofs, and the keys %q", len(s.got), proofs, s.keys)
				}
			})
		}
	}
}
