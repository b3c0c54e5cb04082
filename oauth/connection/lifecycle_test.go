// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestRefusalNearExpiry: the interval between forced renewals does not hold back one that is due
// anyway.
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

// TestReloadKeepsRetryAfter: a new configuration tries at once after a failure, but not before the
// provider's Retry-After.
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
