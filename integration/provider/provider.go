// SPDX-License-Identifier: Apache-2.0

// Package provider is the authorization server of the tests. It is zitadel's certified server,
// written independently of this project, and runs in the process of the test. It has a storage
// that a test can inspect, a login page, and switches that make it misbehave as real servers do.
//
// It logs what it refuses with slog's default logger. A test binary that makes it refuse requests
// discards that log.
package provider

import (
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Where the endpoints are, below the base URL.
const (
	AuthorizePath  = "/authorize"
	TokenPath      = "/oauth/token" //nolint:gosec // G101: a path
	RevokePath     = "/revoke"
	IntrospectPath = "/oauth/introspect"
)

// A client that is known from the beginning. Its secret has characters that must be form-encoded
// in Basic (RFC 6749 §2.3.1). Register gives it redirect URLs.
const (
	ClientID     = "gateway"
	ClientSecret = "C4nary&s3cret+Xq7/Lm2=Zk9 Wd5" //nolint:gosec // G101: of a test
)

// The client as which Introspects asks.
const apiID, apiSecret = "api", "the API's own secret" //nolint:gosec // G101: of a test

// Provider is an authorization server.
type Provider struct {
	URL  string // the base URL, which is also the issuer
	Addr string // host and port of the listener

	requests // that have come
	faults   // in how it answers them
	issued   // what it has issued

	// Issuer makes the server send iss with its authorization responses (RFC 9207), which
	// zitadel's does not by itself.
	Issuer atomic.Bool

	server *op.Provider
	tls    *tls.Config

	mu      sync.Mutex
	running *http.Server
	iss     string // what is sent as iss
}

// New runs an authorization server on a port of its own until the test ends. Its access tokens
// live for life.
func New(t testing.TB, life time.Duration) *Provider {
	t.Helper()
	return NewTLS(t, life, nil)
}

// NewTLS is New over TLS, unless config is nil.
func NewTLS(t testing.TB, life time.Duration, config *tls.Config) *Provider {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if config != nil {
		scheme = "https"
		ln = tls.NewListener(ln, config)
	}
	p := NewOn(t, ln, scheme+"://"+ln.Addr().String(), life)
	p.tls = config
	return p
}

// NewOn runs a provider on a listener, which may be in memory, until the test ends. base is the
// provider's URL.
func NewOn(t testing.TB, ln net.Listener, base string, life time.Duration) *Provider {
	t.Helper()
	p := NewHandler(t, base, life)
	p.Addr = ln.Addr().String()
	p.Serve(ln)
	t.Cleanup(p.Stop)
	return p
}

// NewHandler returns a provider that another server serves, as an http.Handler at its root.
func NewHandler(t testing.TB, base string, life time.Duration) *Provider {
	t.Helper()
	p := &Provider{URL: base, iss: base, issued: issued{newStore()}}
	p.store.omit = &p.OmitRefreshToken
	p.SetLife(life)
	p.Register(ClientID, ClientSecret)
	p.Register(apiID, apiSecret)
	var key [32]byte
	_, _ = rand.Read(key[:])
	var err error
	p.server, err = op.NewProvider(&op.Config{
		CryptoKey: key, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, CodeMethodS256: true, GrantTypeRefreshToken: true,
	}, p.store, op.StaticIssuer(base), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Serve serves on a listener until Stop.
func (p *Provider) Serve(ln net.Listener) {
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.mu.Lock()
	p.running = server
	p.mu.Unlock()
	go func() { _ = server.Serve(ln) }()
}

// Stop takes the server off the network: connections are refused. What it has issued stays valid.
func (p *Provider) Stop() {
	p.mu.Lock()
	server := p.running
	p.running = nil
	p.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Start brings a server that New has made back to its address.
func (p *Provider) Start(t testing.TB) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if p.tls != nil {
		ln = tls.NewListener(ln, p.tls)
	}
	p.Serve(ln)
}

// TokenURL returns the URL of the token endpoint.
func (p *Provider) TokenURL() string { return p.URL + TokenPath }

// AuthorizationURL returns the URL of the authorization endpoint.
func (p *Provider) AuthorizationURL() string { return p.URL + AuthorizePath }

// RevocationURL returns the URL of the revocation endpoint.
func (p *Provider) RevocationURL() string { return p.URL + RevokePath }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == TokenPath:
		p.token(w, r)
	case path == RevokePath:
		p.revocation(w, r)
	case path == loginPath:
		p.login(&responder{ResponseWriter: w, provider: p}, r)
	case path == AuthorizePath:
		_ = r.ParseForm()
		p.record(&p.authorizations, r.Form)
		fallthrough
	case strings.HasPrefix(path, AuthorizePath+"/"):
		p.server.ServeHTTP(&responder{ResponseWriter: w, provider: p}, r)
	default:
		p.server.ServeHTTP(w, r)
	}
}

// SetIssuer replaces what is sent as iss when Issuer is on: by another server's, for example.
func (p *Provider) SetIssuer(iss string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.iss = iss
}

// responder adds iss to authorization responses: to redirects that lead away from the server.
type responder struct {
	http.ResponseWriter
	provider *Provider
}

// WriteHeader implements http.ResponseWriter.
func (w *responder) WriteHeader(status int) {
	p := w.provider
	if target := w.Header().Get("Location"); target != "" && p.Issuer.Load() && p.leaves(target) {
		if u, err := url.Parse(target); err == nil {
			p.mu.Lock()
			iss := p.iss
			p.mu.Unlock()
			if u.RawQuery != "" {
				u.RawQuery += "&"
			}
			u.RawQuery += "iss=" + url.QueryEscape(iss)
			w.Header().Set("Location", u.String())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// leaves reports whether a Location is not one of the server's own pages.
func (p *Provider) leaves(location string) bool {
	return !strings.HasPrefix(location, "/") && !strings.HasPrefix(location, p.URL+AuthorizePath+"/") && !strings.HasPrefix(location, p.URL+loginPath)
}
