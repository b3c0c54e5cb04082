// SPDX-License-Identifier: Apache-2.0

package users_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// hashes are the hashes of the users' passwords, which are their names: bcrypt at its lowest cost.
var hashes = map[string]string{
	"ann": "$2a$04$kv4UKRLBD6qcU2AWPhVuCu5CM6B5rUaLGZjJfTx2vz1n8I3Ct0piO", "bob": "$2a$04$fEs9MYbrkBYiEdgMYtVz7O62ohkppvtXGNpxHbQ8YWAdKEhWWKTnq",
}

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(string) error { return os.Setenv("CLIENT_SECRET", provider.ClientSecret) }))
}

// requests is how many requests are sent: USERS_REQUESTS, or a number that takes some seconds.
func requests(t testing.TB) int64 {
	t.Helper()
	text := os.Getenv("USERS_REQUESTS")
	if text == "" {
		return 6_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("USERS_REQUESTS: %v", err)
	}
	return n
}

// config returns the Caddyfile. flavour makes one configuration differ from the next.
func config(addr, storage, key string, p *provider.Provider, api string, flavour int) string {
	var accounts strings.Builder
	for name, hash := range hashes {
		fmt.Fprintf(&accounts, "%s %s\n", name, hash)
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	grace_period 5s
	storage file_system %s
	log {
		level ERROR
	}
	authenticated_api {
		key %s
	}
}
http://%s {
	basic_auth {
		%s
	}
	handle_path /connect/* {
		authenticated_api_console
	}
	handle_path /api/* {
		authenticated_api %s {
			name crm
			header X-Flavour %d
			auth oauth2 authorization_code {
				authorization_url %s
				token_url %s
				redirect_url http://%s/connect/callback
				client_id gateway
				client_secret {env.CLIENT_SECRET}
				scopes openid offline_access
				connection {http.auth.user.id}
			}
		}
	}
}
`, storage, key, addr, accounts.String(), api, flavour, p.AuthorizationURL(), p.TokenURL(), addr)
}

// sharedAPI answers as an API does that has never heard of a gateway: everybody may keep its
// answers.
func sharedAPI(t *testing.T, p *provider.Provider) *httptest.Server {
	t.Helper()
	api := &provider.API{Provider: p}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60, s-maxage=60")
		w.Header().Set("Surrogate-Control", "max-age=60")
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// connect connects a user's own account.
func connect(t *testing.T, p *provider.Provider, addr, user string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, target string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(target, "http://"+addr) {
			req.SetBasicAuth(user, user)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s %s: %d", method, target, res.StatusCode)
		}
		return res
	}
	start := do(http.MethodPost, "http://"+addr+"/connect/crm/connect")
	do(http.MethodGet, p.Login(t, &http.Client{Timeout: 20 * time.Second}, start.Header.Get("Location"), user))
}

// counts is what became of the requests.
type counts struct {
	sent, crossed, failed, kept, again atomic.Int64

	mu    sync.Mutex
	first string // failure
}

// ask sends one request of a user.
func (n *counts) ask(c *http.Client, base, user string, path int) {
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/%d", base, path), nil)
	if err != nil {
		panic(err)
	}
	req.SetBasicAuth(user, user)
	n.sent.Add(1)
	res, err := c.Do(req)
	// A listener that is closed on a reload resets the connections that it has not accepted yet:
	// nothing was sent there.
	for tries := 0; tries < 10 && (err != nil || res.StatusCode == http.StatusBadGateway && strings.HasPrefix(res.Header.Get("Server"), "nginx")); tries++ {
		if err == nil {
			res.Body.Close()
		}
		n.again.Add(1)
		time.Sleep(20 * time.Millisecond)
		res, err = c.Do(req)
	}
	if err != nil {
		n.fail(err.Error())
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var got struct{ User string }
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(body, &got) != nil {
		n.fail(fmt.Sprintf("%d %q %v", res.StatusCode, body, err))
		return
	}
	if got.User != user {
		n.crossed.Add(1)
	}
	if res.Header.Get("X-Cache") == "HIT" {
		n.kept.Add(1)
	}
	if cc := res.Header.Get("Cache-Control"); !strings.Contains(cc, "private") || strings.Contains(cc, "public") || strings.Contains(cc, "s-maxage") {
		n.fail("Cache-Control: " + cc)
	}
}

func (n *counts) fail(what string) {
	n.failed.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first == "" {
		n.first = what
	}
}

// storm has all users send requests until there are enough, and changes the configuration under
// them.
func storm(t *testing.T, base string, enough int64, reload func(i int)) *counts {
	t.Helper()
	n := new(counts)
	var senders sync.WaitGroup
	for user := range hashes {
		for range 8 {
			senders.Go(func() {
				transport := &http.Transport{MaxIdleConnsPerHost: 16}
				defer transport.CloseIdleConnections()
				c := &http.Client{Transport: transport, Timeout: 30 * time.Second}
				for i := 0; n.sent.Load() < enough; i++ {
					n.ask(c, base, user, i%16)
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { senders.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return n
		case <-time.After(300 * time.Millisecond):
			reload(i)
		}
	}
}
