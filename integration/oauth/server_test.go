// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// tokenPath is where the authorization server has its token endpoint.
const tokenPath = "/oauth/token"

// provider is an authorization server: zitadel's certified one, over HTTP, with switches around it by which it misbehaves
// as servers do.
type provider struct {
	*issued

	url    string // of the token endpoint
	addr   string
	server *op.Provider
	tls    *tls.Config

	requests atomic.Int64 // token requests that have come
	answered atomic.Int64 // token requests that have been answered
	delay    atomic.Int64 // before a token request is looked at, in nanoseconds
	status   atomic.Int64 // what every token request gets, 0: what the server answers

	// rewrite changes an answer: what zitadel's server does not send, others do.
	rewrite func(answer map[string]any)

	mu      sync.Mutex
	running *http.Server
	forms   []url.Values // what the token requests have said, with the authorization field as "Authorization"
}

// newProvider runs an authorization server until the test ends. Its tokens live for life.
func newProvider(t testing.TB, life time.Duration) *provider {
	t.Helper()
	return newProviderTLS(t, life, nil)
}

func newProviderTLS(t testing.TB, life time.Duration, config *tls.Config) *provider {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{addr: ln.Addr().String(), tls: config, issued: &issued{
		clients: map[string]*client{}, tokens: map[string]*token{},
	}}
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	p.url = scheme + "://" + p.addr + tokenPath
	p.setLife(life)
	p.register("gateway", secret)
	p.register("api", "the API's own secret")
	var key [32]byte
	_, _ = rand.Read(key[:])
	p.server, err = op.NewProvider(&op.Config{CryptoKey: key, AuthMethodPost: true}, p.issued, op.StaticIssuer(scheme+"://"+p.addr),
		op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	p.serve(ln)
	t.Cleanup(p.stop)
	return p
}

func (p *provider) serve(ln net.Listener) {
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.mu.Lock()
	p.running = server
	p.mu.Unlock()
	if p.tls != nil {
		ln = tls.NewListener(ln, p.tls)
	}
	go func() { _ = server.Serve(ln) }()
}

// stop takes the server off the network: who connects is refused.
func (p *provider) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		_ = p.running.Close()
		p.running = nil
	}
}

// start brings it back.
func (p *provider) start(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.serve(ln)
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != tokenPath {
		p.server.ServeHTTP(w, r)
		return
	}
	_ = r.ParseForm()
	form := maps.Clone(r.PostForm)
	if field := r.Header.Get("Authorization"); field != "" {
		form.Set("Authorization", field)
	}
	p.mu.Lock()
	p.forms = append(p.forms, form)
	p.mu.Unlock()
	p.requests.Add(1)
	select {
	case <-time.After(time.Duration(p.delay.Load())):
	case <-r.Context().Done(): // a caller that was killed gets no token
		return
	}
	defer p.answered.Add(1)
	if status := int(p.status.Load()); status != 0 {
		http.Error(w, "come again", status)
		return
	}
	if p.rewrite == nil {
		p.server.ServeHTTP(w, r)
		return
	}
	p.rewritten(w, r)
}

func (p *provider) rewritten(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	p.server.ServeHTTP(rec, r)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.rewrite(answer)
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// wantRequests fails the test unless that many token requests have come since the beginning.
func (p *provider) wantRequests(t testing.TB, want int64) {
	t.Helper()
	if got := p.requests.Load(); got != want {
		t.Errorf("%d token requests have come, want %d", got, want)
	}
}

// lastForm returns what the last token request has said.
func (p *provider) lastForm(t testing.TB) url.Values {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.forms) == 0 {
		t.Fatal("no token request has come")
	}
	return p.forms[len(p.forms)-1]
}

// accepts reports whether a token is one that the server has issued, and that has neither expired nor been revoked, as an
// API does that shares the server's key.
func (p *provider) accepts(text string) bool {
	plain, err := p.server.Crypto().Decrypt(text)
	if err != nil {
		return false
	}
	id, _, _ := strings.Cut(plain, ":")
	return p.valid(id) != nil
}

// introspects is accepts over the network, RFC 7662.
func (p *provider) introspects(text string) (bool, error) {
	form := url.Values{"token": {text}}
	req, err := http.NewRequest(http.MethodPost, "http://"+p.addr+"/oauth/introspect", bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("api", url.QueryEscape("the API's own secret"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	var answer struct {
		Active   bool   `json:"active"`
		ClientID string `json:"client_id"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	return answer.Active, err
}

// issued is the storage of the server: its clients, and the tokens that it has issued. It has what the grant
// client_credentials and introspection ask for; a call of any other function would end the test, by the nil of op.Storage.
type issued struct {
	op.Storage

	life atomic.Int64 // of new tokens, in nanoseconds

	mu      sync.Mutex
	clients map[string]*client
	tokens  map[string]*token
}

type token struct {
	client  string
	scopes  []string
	expires time.Time
	revoked bool
}

func (s *issued) setLife(life time.Duration) { s.life.Store(int64(life)) }

// register makes a client known, or gives it another secret.
func (s *issued) register(id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = &client{id: id, secret: secret}
}

// revoke makes all tokens invalid that have been issued so far. Nobody is told.
func (s *issued) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		t.revoked = true
	}
}

func (s *issued) valid(id string) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[id]
	if t == nil || t.revoked || !time.Now().Before(t.expires) {
		return nil
	}
	return t
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *issued) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil || c.secret != secret {
		return nil, errors.New("no such client, or another secret")
	}
	return c, nil
}

// AuthorizeClientIDSecret implements op.OPStorage.
func (s *issued) AuthorizeClientIDSecret(ctx context.Context, id, secret string) error {
	_, err := s.ClientCredentials(ctx, id, secret)
	return err
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *issued) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Issuer: id, Scopes: scopes, Audience: oidc.Audience{id}}, nil
}

// CreateAccessToken implements op.AuthStorage.
func (s *issued) CreateAccessToken(_ context.Context, req op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := strconv.Itoa(len(s.tokens)+1) + rand.Text()
	// The server tells whole seconds of what is left, so a token lives a little longer than it says.
	expires := time.Now().Add(time.Duration(s.life.Load()) + 200*time.Millisecond)
	s.tokens[id] = &token{client: req.GetSubject(), scopes: req.GetScopes(), expires: expires}
	return id, expires, nil
}

// SetIntrospectionFromToken implements op.OPStorage.
func (s *issued) SetIntrospectionFromToken(_ context.Context, res *oidc.IntrospectionResponse, id, _, _ string) error {
	t := s.valid(id)
	if t == nil {
		return errors.New("no such token")
	}
	res.ClientID, res.Scope, res.Expiration = t.client, t.scopes, oidc.FromTime(t.expires)
	return nil
}

// SignatureAlgorithms implements op.AuthStorage.
func (*issued) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return nil, nil
}

// Health implements op.Storage.
func (*issued) Health(context.Context) error { return nil }

// client is a client that may have tokens for itself.
type client struct {
	op.Client
	id, secret string
}

func (c *client) GetID() string { return c.id }
func (*client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}
func (*client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (*client) ClockSkew() time.Duration             { return 0 }
func (*client) AuthMethod() oidc.AuthMethod          { return oidc.AuthMethodBasic }
func (*client) IsScopeAllowed(string) bool           { return true }
func (*client) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (*client) IDTokenLifetime() time.Duration       { return time.Hour }
func (*client) IDTokenUserinfoClaimsAssertion() bool { return false }
