// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// network is one server that has all names. Those that end in private.localhost count as private
// addresses.
type network struct {
	*httptest.Server

	metadata string            // of the authorization server, the members behind the issuer
	pages    map[string]string // URLs of redirects, by path

	mu  sync.Mutex
	got []string // each request but those for metadata, as "host/path"
}

func newNetwork(t *testing.T) *network {
	n := new(network)
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

// ServeHTTP implements http.Handler.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
		_, _ = io.WriteString(w, `{"resource":"http://`+r.Host+`","authorization_servers":["http://as.localhost"]}`)
		return
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		_, _ = io.WriteString(w, `{"issuer":"http://`+r.Host+`","code_challenge_methods_supported":["S256"]`+n.metadata+`}`)
		return
	}
	n.mu.Lock()
	n.got = append(n.got, r.Host+r.URL.Path)
	n.mu.Unlock()
	if to := n.pages[r.URL.Path]; to != "" {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		return
	}
	switch r.URL.Path {
	case "/token", "/refresh":
		_, _ = io.WriteString(w, `{"access_token":"a","refresh_token":"r","expires_in":3600}`)
	case "/register":
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"client_id":"registered","client_secret":"s"}`)
	case "/par":
		_, _ = io.WriteString(w, `{"request_uri":"urn:1","expires_in":60}`)
	case "/revoke":
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// requests returns the requests since it was called last.
func (n *network) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}

// bind returns a method in this network.
func (n *network) bind(t *testing.T, api, block string) *Method {
	t.Helper()
	m, _ := methodOf(t, "oauth2 authorization_code {\n"+block+"\nredirect_url https://g.example/connect/callback\n}")
	dial := func(public bool) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); public && strings.HasSuffix(host, "private.localhost") {
				return nil, errDenied
			}
			return new(net.Dialer).DialContext(ctx, network, n.Listener.Addr().String())
		}
	}
	ring := seal.NewRing(oauthtest.NewKey(t))
	if err := m.Bind(Environment{
		// What is in memory counts for all methods of a name.
		Datasource: n.URL + " " + block, BaseURL: api, Storage: new(oauthtest.Memory), Keys: func() (*seal.Ring, error) { return ring, nil },
		Dial: dial(false), DialPublic: dial(true), Denied: func(err error) bool { return errors.Is(err, errDenied) },
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Cleanup() })
	return m
}

// use connects an account, renews its token, and disconnects it. It returns the errors.
func use(t *testing.T, m *Method) error {
	flow, _, err := m.Begin(t.Context(), "", "ann")
	if err != nil {
		return err
	}
	if err := m.Finish(t.Context(), flow, "code"); err != nil {
		return err
	}
	token := m.Source("").Token()
	_, refreshErr := redeem(t.Context(), m, nil, &record.Token{Refresh: "r", Origin: token.Origin})
	return errors.Join(refreshErr, revoke(t.Context(), m, token))
}

// TestDiscoverDial: an endpoint that the operator has written may have a private address, and one
// that a public address has named may not, whichever other options are written.
func TestDiscoverDial(t *testing.T) {
	t.Parallel()
	for name, endpoint := range allEndpoints {
		for _, written := range []bool{false, true} {
			if written && endpoint.option == "" || !written && endpoint.member == "" {
				continue
			}
			for api, private := range map[string]bool{"http://api.localhost": false, "http://api.private.localhost": true} {
				if written && private {
					continue
				}
				t.Run(fmt.Sprintf("%s, written %t, API %s", name, written, api), func(t *testing.T) {
					t.Parallel()
					n := newNetwork(t)
					err := use(t, n.bind(t, api, n.place(name, written)))
					reached := slices.Contains(n.requests(), "in.private.localhost"+endpoint.path)
					may := written || private
					if name == "authorization" { // the browser goes there, and not the gateway
						reached, may = !reached, true
					}
					if reached != may || (err == nil) != may {
						t.Errorf("reached %t, %v", reached, err)
					}
				})
			}
		}
	}
}

// allEndpoints are those of a provider, by what metadata and options call them.
var allEndpoints = map[string]struct{ member, option, path string }{
	"token":         {"token_endpoint", "token_url", "/token"},
	"refresh":       {"", "refresh_url", "/refresh"},
	"revocation":    {"revocation_endpoint", "revocation_url", "/revoke"},
	"pushed":        {"pushed_authorization_request_endpoint", "", "/par"},
	"registration":  {"registration_endpoint", "", "/register"},
	"authorization": {"authorization_endpoint", "authorization_url", "/authorize"},
}

// place puts one endpoint at a private address, which the options or the metadata name, and all
// others at a public one. If the one is written the others are not, and the other way round. It
// returns the options.
func (n *network) place(name string, written bool) string {
	n.metadata = `,"require_pushed_authorization_requests":true`
	block := "discover"
	if name != "registration" {
		block += "\nclient_id i\nclient_secret s"
	}
	for other, e := range allEndpoints {
		host := "http://as.localhost"
		if other == name {
			host = "http://in.private.localhost"
		}
		switch {
		case other == name && written, other != name && !written && e.option != "" && other != "refresh":
			block += "\n" + e.option + " " + host + e.path
		case e.member != "":
			n.metadata += `,"` + e.member + `":"` + host + e.path + `"`
		}
	}
	return block
}

// TestDiscoverDialRedirects: no endpoint leads on to a private address.
func TestDiscoverDialRedirects(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"/token", "/revoke", "/par", "/register"} {
		for _, block := range []string{"discover", "discover\ntoken_url http://as.localhost/token"} {
			t.Run(at+" "+block, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t)
				n.place("", true)
				n.pages = map[string]string{at: "http://in.private.localhost/stolen"}
				err := use(t, n.bind(t, "http://api.localhost", block))
				got := n.requests()
				if err == nil || !slices.Contains(got, "as.localhost"+at) || slices.Contains(got, "in.private.localhost/stolen") {
					t.Errorf("%v, %q", err, got)
				}
			})
		}
	}
}

// TestDiscoverDialIssuer: the issuer that the operator pins may be at a private address, and an
// authorization server that the API has named may not.
func TestDiscoverDialIssuer(t *testing.T) {
	for issuer, want := range map[string]bool{"http://sso.private.localhost": true, "http://as.localhost": false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
				_, _ = io.WriteString(w, `{"resource":"http://api.localhost","authorization_servers":["http://sso.private.localhost"]}`)
			case strings.HasPrefix(r.URL.Path, "/.well-known/"):
				_, _ = io.WriteString(w, `{"issuer":"http://`+r.Host+`","code_challenge_methods_supported":["S256"]}`)
			default:
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		defer server.Close()
		n := &network{Server: server}
		m := n.bind(t, "http://api.localhost", "discover\nissuer "+issuer)
		f, err := m.discovery.search.run(t.Context())
		if (err == nil) != want || want && (f.public || f.server.Issuer != issuer) {
			t.Errorf("issuer %s: %v", issuer, err)
		}
	}
}
