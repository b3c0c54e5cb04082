// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// forwardProxy is a forward proxy behind which everything is: a provider of tokens, and the API.
type forwardProxy struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newForwardProxy(t *testing.T) *forwardProxy {
	t.Helper()
	p := new(forwardProxy)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.URL.Host+r.URL.Path)
		p.mu.Unlock()
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"access_token":"good","expires_in":3600}`)
			return
		}
		_, _ = io.WriteString(w, "served")
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *forwardProxy) wantSeen(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.seen, want) {
		t.Errorf("the proxy has seen %q, want %q", p.seen, want)
	}
}

// TestTokenProxy: token requests take the proxy of the API's requests, unless the option
// network_proxy says otherwise.
func TestTokenProxy(t *testing.T) {
	api, other := newForwardProxy(t), newForwardProxy(t)
	t.Setenv("OTHER_PROXY", other.URL)
	direct := newForwardProxy(t) // a provider that can be reached without one
	const gateway = `http://GATEWAY {
		authenticated_api http://api.test {
			name %s
			auth oauth2 client_credentials {
				token_url %s/token
				insecure_http
				client_id i
				client_secret s
				timeout 5s
				%s
			}
			%s
		}
	}`
	const far = "http://provider.test"
	transport := func(option, url string) string { return "transport http {\n" + option + " " + url + "\n}" }
	for name, test := range map[string]struct {
		provider, own, more string
		proxies             []*forwardProxy // that see the token request
	}{
		"the transport's":          {far, "", transport("network_proxy url", api.URL), []*forwardProxy{api}},
		"the transport's, of old":  {far, "", transport("forward_proxy_url", api.URL), []*forwardProxy{api}},
		"with a placeholder":       {far, "", transport("network_proxy url", "{env.API_PROXY}"), []*forwardProxy{api}},
		"one of its own":           {far, "network_proxy url " + other.URL, transport("network_proxy url", api.URL), []*forwardProxy{other}},
		"its own by a placeholder": {far, "network_proxy url {env.OTHER_PROXY}", transport("network_proxy url", api.URL), []*forwardProxy{other}},
		"none":                     {direct.URL, "network_proxy none", transport("network_proxy url", api.URL), []*forwardProxy{direct}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("API_PROXY", api.URL)
			t.Setenv("XDG_DATA_HOME", t.TempDir())
			for _, p := range []*forwardProxy{api, other, direct} {
				p.seen = nil
			}
			datasource := "proxied-" + strconv.FormatInt(time.Now().UnixNano(), 36) // what one has got must not do for the next
			addr := rig.Start(t, fmt.Sprintf(gateway, datasource, test.provider, test.own, test.more))
			if res := rig.Get(t, addr, "/x", ""); res.StatusCode != 200 || res.Text != "served" {
				t.Errorf("the answer is %d %q", res.StatusCode, res.Text)
			}
			for _, p := range []*forwardProxy{api, other, direct} {
				var want []string
				if slices.Contains(test.proxies, p) {
					want = append(want, test.provider[len("http://"):]+"/token")
				}
				if p == direct && len(want) == 1 {
					want[0] = "/token" // it is no proxy then
				}
				if p == api {
					want = append(want, "api.test/x")
				}
				p.wantSeen(t, want...)
			}
		})
	}
}
