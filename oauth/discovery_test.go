// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestMicrosoft: Entra's v2.0 endpoints refuse resource beside scope, and want scope in refreshes;
// a demand for consent is none that an administrator's consent meets.
func TestMicrosoft(t *testing.T) {
	const entra = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
	for url, want := range map[string]bool{
		entra: true, "https://login.microsoftonline.us/t/oauth2/v2.0/token": true, "https://x.ciamlogin.com/t/oauth2/v2.0/token": true,
		"https://login.microsoftonline.com/tenant/oauth2/token": false, "https://login.microsoftonline.com.evil.example/t/oauth2/v2.0/token": false,
		"https://p.example/oauth2/v2.0/token": false, "://": false,
	} {
		if microsoft(url) != want {
			t.Errorf("%s: %v", url, !want)
		}
	}
	f := &found{
		resource: "https://api.example/mcp", scopes: []string{"api://x/.default"}, fromAPI: true,
		server: &provider.ServerMetadata{Issuer: "https://i", TokenURL: entra, AuthorizationURL: "https://login.microsoftonline.com/a", Scopes: []string{offlineAccess}},
	}
	opts, to := &Options{Grant: grantAuthorizationCode, Discover: new(string)}, new(provider.Config)
	if err := f.fill(opts, to); err != nil {
		t.Fatal(err)
	}
	askConsent(to)
	if len(to.Resource) != 0 || !to.ScopeOnRefresh || to.AuthorizationParams["prompt"] != "" || !slices.Contains(to.Scopes, offlineAccess) {
		t.Errorf("%+v", to.Resource)
	}
	origin, again := originOf(opts, f, to, nil), new(provider.Config)
	restore(opts, again, origin)
	if !again.ScopeOnRefresh || len(again.Resource) != 0 || !slices.Equal(again.Scopes, to.Scopes) || again.TokenURL != entra {
		t.Errorf("a refresh is configured with %q %q", again.Scopes, again.Resource)
	}
	written := &provider.Config{Resource: []string{"https://r"}}
	if err := f.fill(opts, written); err != nil || !slices.Equal(written.Resource, []string{"https://r"}) {
		t.Errorf("what is written out: %q %v", written.Resource, err)
	}
}

// errDenied stands for the error of a dialer that obeys the dial rule.
var errDenied = errors.New("never dialled")

// TestDiscoverySSRF: whoever is at a public address leads the gateway to no private one. If what
// the operator has written is private, what it leads to may be private too.
func TestDiscoverySSRF(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
			_, _ = io.WriteString(w, `{"resource":"http://`+r.Host+`","authorization_servers":["http://private.localhost"]}`)
		case r.URL.Path == "/.well-known/oauth-authorization-server":
			_, _ = io.WriteString(w, `{"issuer":"http://private.localhost","code_challenge_methods_supported":["S256"]}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	dial := func(deny string) *provider.Client {
		return provider.New(nil, func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); deny == "*" || host == deny {
				return nil, errDenied
			}
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		})
	}
	for _, test := range []struct {
		strict string // the host that the strict client does not dial
		want   bool
	}{{"private.localhost", false}, {"*", true}, {"none", true}} {
		strict, wide := dial(test.strict), dial("none")
		s := &search{
			api: &url.URL{Scheme: "http", Host: "api.localhost"}, timeout: time.Second, strict: clients{strict, strict}, wide: clients{wide, wide},
			denied: func(err error) bool { return errors.Is(err, errDenied) },
		}
		f, err := s.run(t.Context())
		if (err == nil) != test.want {
			t.Errorf("denied %s: %v", test.strict, err)
		}
		if fail, ok := errors.AsType[*provider.DiscoveryError](err); !test.want && (!ok || !strings.Contains(fail.Error(), "private.localhost") || fail.Option == "") {
			t.Errorf("denied %s: %v", test.strict, err)
		}
		if f != nil && f.public != (test.strict == "none") {
			t.Errorf("denied %s: public is %v", test.strict, f.public)
		}
	}
}

// scripted is a discovery whose lookups end as a test says.
func scripted(do func() error) *discovery {
	logger, _ := oauthtest.NewLogger()
	var d *discovery
	client := provider.New(nil, func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("unused") })
	client.Transport.RegisterProtocol("http", roundTripper(func(req *http.Request) (*http.Response, error) {
		time.Sleep(time.Second)
		if err := do(); err != nil {
			return nil, err
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Cache-Control": {"max-age=600"}}, Request: req,
			Body: io.NopCloser(strings.NewReader(`{"issuer":"http://localhost","token_endpoint":"http://localhost/token"}`)),
		}, nil
	}))
	both := clients{client, client}
	d = &discovery{logger: logger, search: &search{
		issuer: "http://localhost", timeout: 5 * time.Second, strict: both, wide: both, denied: func(error) bool { return false },
	}}
	return d
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestDiscoveryOnce: one lookup serves all who wait; what is known serves for its time, and while
// a new lookup is under way or fails.
func TestDiscoveryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lookups atomic.Int64
		var fail atomic.Bool
		d := scripted(func() error {
			lookups.Add(1)
			if fail.Load() {
				return errors.New("down")
			}
			return nil
		})
		all := func() {
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					if f, err := d.get(t.Context()); err != nil || f.server.TokenURL == "" {
						t.Errorf("%v", err)
					}
				})
			}
			wait.Wait()
		}
		all()
		all()
		if n := lookups.Load(); n != 1 {
			t.Errorf("%d lookups", n)
		}
		time.Sleep(11 * time.Minute) // beyond max-age
		fail.Store(true)
		began := time.Now()
		all()
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %v although something is known", waited)
		}
		time.Sleep(10 * time.Second)
		all() // the failure harms nothing
		time.Sleep(25 * time.Hour)
		if _, err := d.get(t.Context()); err == nil {
			t.Error("what is a day too old still serves")
		}
		time.Sleep(time.Minute)
	})
}

// TestDiscoveryPause: while lookups fail, they become rarer, up to one a minute, and callers are
// told when the next one is.
func TestDiscoveryPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lookups atomic.Int64
		d := scripted(func() error { lookups.Add(1); return errors.New("down") })
		for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(time.Second) {
			_, err := d.get(t.Context())
			fail, ok := errors.AsType[*provider.DiscoveryError](err)
			if !ok || !fail.Temporary() || !fail.Retry.After(time.Now().Add(-time.Second)) {
				t.Fatalf("%v %v", err, fail)
			}
		}
		if n := lookups.Load(); n < 50 || n > 70 {
			t.Errorf("%d lookups in an hour", n)
		}
	})
}

// TestDiscoveryDoubt: a doubt stands until a lookup has succeeded: what the API may have left
// behind counts for the consent that cannot wait, and not for those after it.
func TestDiscoveryDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lookups atomic.Int64
		var fail atomic.Bool
		d := scripted(func() error {
			lookups.Add(1)
			if fail.Load() {
				return errors.New("down")
			}
			return nil
		})
		for _, step := range []struct {
			doubt, fail bool
			want        int64
		}{{false, false, 1}, {false, false, 1}, {true, true, 2}, {false, true, 3}, {false, false, 4}, {false, false, 4}} {
			fail.Store(step.fail)
			d.mu.Lock()
			d.doubted = d.doubted || step.doubt
			d.mu.Unlock()
			if _, err := d.consent(t.Context()); err != nil {
				t.Errorf("%+v: %v", step, err)
			}
			if n := lookups.Load(); n != step.want {
				t.Errorf("%+v: %d lookups", step, n)
			}
		}
	})
}

// TestConsents: the same scopes in a row are counted, whatever their order.
func TestConsents(t *testing.T) {
	before := func(n int, scopes ...string) *record.Token {
		return &record.Token{Origin: &record.Origin{Scopes: scopes, Consents: n}}
	}
	for _, test := range []struct {
		before *record.Token
		scopes string
		want   int
	}{
		{nil, "a", 1},
		{before(1, "a"), "a", 2},
		{before(2, "b", "a"), "a b", 3},
		{before(2, "a"), "a b", 1},
		{before(2, "a", "b"), "a", 1},
		{new(record.Token), "a", 1},
	} {
		if got := consents(test.before, strings.Fields(test.scopes)); got != test.want {
			t.Errorf("%+v then %s: %d, want %d", test.before, test.scopes, got, test.want)
		}
	}
}

// TestDiscoveredAliases: with tls_client_auth the endpoints are those for certificates, and with
// any other way they are not. What is written out wins.
func TestDiscoveredAliases(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"issuer":"`+server.URL+`","token_endpoint":"https://as.example/token",`+
			`"mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example/token"}}`)
	})
	metadata, err := (&provider.Discovery{Client: provider.New(nil, nil), Timeout: time.Minute}).ServerMetadata(t.Context(), server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ way, written, want string }{
		{provider.TLSClientAuth, "", "https://mtls.example/token"},
		{provider.PrivateKeyJWT, "", "https://as.example/token"},
		{provider.TLSClientAuth, "https://own.example/token", "https://own.example/token"},
	} {
		to := &provider.Config{TokenURL: test.written}
		opts := &Options{Grant: grantClientCredentials, ClientAuth: test.way, Discover: new(string)}
		if err := (&found{server: metadata}).fill(opts, to); err != nil || to.TokenURL != test.want {
			t.Errorf("%s: %q %v, want %q", test.way, to.TokenURL, err, test.want)
		}
	}
}
