// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestRefusalNearExpiry: the interval between forced renewals does not hold back one that is due anyway.
func TestRefusalNearExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &endpoint{life: 5 * time.Second}
		s, _ := newSource(t, p.fetch)
		mustSend(t, s, "1", 0)
		for want := int64(2); want <= 3; want++ {
			c := s.Current()
			if want == 3 {
				time.Sleep(4900 * time.Millisecond) // in the soft margin, 5 s after the forced renewal
			}
			fresh, err := s.Refresh(t.Context(), c)
			if err != nil || fresh == c || p.calls.Load() != want {
				t.Fatalf("refusal %d: %v, a fresh one: %t, %d calls", want-1, err, fresh != c, p.calls.Load())
			}
		}
	})
}

// TestReloadKeepsRetryAfter: a new configuration tries at once after a failure, but not before the provider's Retry-After.
func TestReloadKeepsRetryAfter(t *testing.T) {
	for _, test := range []struct {
		asks  time.Duration
		calls int64 // after a reload
	}{{0, 2}, {time.Minute, 1}} {
		synctest.Test(t, func(t *testing.T) {
			p := &endpoint{life: time.Hour, fail: func() error {
				e := &provider.Error{Host: "provider", Status: http.StatusTooManyRequests}
				if test.asks > 0 {
					e.Retry = time.Now().Add(test.asks)
				}
				return e
			}}
			s, _ := newSource(t, p.fetch)
			_, _ = s.Credential(t.Context())
			s.conn.clearFailures()
			_, _ = s.Credential(t.Context())
			if got := p.calls.Load(); got != test.calls {
				t.Errorf("asked for %v: %d calls, want %d", test.asks, got, test.calls)
			}
		})
	}
}

// TestIdentityParts: what a token is issued for tells identities apart, and the secret does not.
func TestIdentityParts(t *testing.T) {
	base := Method{Grant: "client_credentials"}
	req := func(change func(*provider.Config)) string {
		r := &provider.Config{TokenURL: "https://a/token", ClientID: "id", ClientSecret: "s", TokenParams: map[string]string{}}
		change(r)
		return base.identity(r)
	}
	same := req(func(*provider.Config) {})
	if got := req(func(r *provider.Config) { r.ClientSecret = "rotated" }); got != same {
		t.Error("a rotated secret makes another identity")
	}
	seen := map[string]int{same: 0}
	for i, change := range []func(*provider.Config){
		func(r *provider.Config) { r.ClientID = "other" },
		func(r *provider.Config) { r.TokenURL = "https://b/token" },
		func(r *provider.Config) { r.Audience = "a" },
		func(r *provider.Config) { r.Scopes = []string{"a"} },
		func(r *provider.Config) { r.Resource = []string{"a", "b"} },
		func(r *provider.Config) { r.TokenParams["a"] = "b" },
		func(r *provider.Config) { r.Resource = []string{"a"}; r.TokenParams["a"] = "b" },
	} {
		id := req(change)
		if j, ok := seen[id]; ok {
			t.Errorf("changes %d and %d make one identity", i+1, j)
		}
		seen[id] = i + 1
	}
}
