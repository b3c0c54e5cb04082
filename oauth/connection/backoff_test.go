// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestTwoRoutes: one datasource stands in two routes of a configuration. Requests of both share
// the back-off.
func TestTwoRoutes(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		a, b := w.gateway(s, perUser), w.gateway(s, perUser)
		b.pool = a.pool
		a.Configuration, b.Configuration = w, w
		a.connect(t, "ann", "good")
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: http.StatusServiceUnavailable}} }
		for range 60 {
			for _, g := range []*gateway{a, b} {
				if got, err := g.serves(t, "ann"); err == nil {
					t.Fatal(got)
				}
			}
			time.Sleep(time.Second)
		}
		if n := w.p.calls(); n > 7 { // after 1, 2, 4, 8, 16, 32 s
			t.Errorf("%d token requests in a minute", n)
		}
	})
}

// TestNothingToRefresh: a token without end and without refresh token, as of GitHub's OAuth apps,
// is connected, and says so when somebody asks for a refresh.
func TestNothingToRefresh(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever}, func(t *testing.T, w *world) {
		n := w.node()
		token := w.p.connect()
		token.Refresh = ""
		if err := n.Install(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := n.Renew(t.Context()); !errors.Is(err, ErrNotRenewable) {
			t.Errorf("%v", err)
		}
		n.mustHave(t, "access-0")
	})
}

// TestRetryAfterStays: what is no renewal does not end the provider's Retry-After; a new account
// does.
func TestRetryAfterStays(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate {
			return fate{err: &provider.Error{Status: http.StatusTooManyRequests, Retry: time.Now().Add(30 * time.Minute)}}
		}
		if _, err := n.Credential(t.Context()); err == nil {
			t.Fatal("there is a token")
		}
		w.p.fate = nil
		if err := n.move(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Credential(t.Context()); err == nil || w.p.calls() != 1 {
			t.Errorf("%v, and %d calls", err, w.p.calls())
		}
		if err := n.Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		n.mustHave(t, "access-0")
		if st, err := n.Status(t.Context()); err != nil || st.LastError != "" {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// canned answers each request in the same way.
type canned struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, req.Body)
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: req}, nil
}

// TestLabelOfDoubt: something in front of the provider has answered, or nobody can read the
// answer. If the refresh token turns out to be spent then, the loss is called one.
func TestLabelOfDoubt(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		want   record.Reason
	}{
		"502":        {http.StatusBadGateway, "<html>", record.ReasonLost},
		"504":        {http.StatusGatewayTimeout, "", record.ReasonLost},
		"cut":        {http.StatusOK, `{"acc`, record.ReasonLost},
		"cut later":  {http.StatusOK, `{"access_token":"a","expires_in":1,"refresh`, record.ReasonLost},
		"503":        {http.StatusServiceUnavailable, "", record.ReasonRevoked},
		"no success": {http.StatusBadRequest, `{"error":"invalid_client"}`, record.ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				var once sync.Once
				redeem := n.set.Redeem
				cfg := &provider.Config{
					TokenURL: "http://127.0.0.1/token", ClientID: "i", ClientAuth: provider.ClientAuthNone, Timeout: timeout,
				}
				client := provider.New(nil, nil)
				client.Transport.RegisterProtocol("http", canned{answer.status, answer.body})
				n.set.Redeem = func(ctx context.Context, _ func() []string, mine *record.Token) (c *provider.Answer, err error) {
					c, err = redeem(ctx, nil, mine) // the provider has redeemed it
					once.Do(func() {
						c, err = client.Refresh(ctx, cfg, mine.Refresh)
					})
					return c, err
				}
				time.Sleep(time.Minute)
				_, err := n.Credential(t.Context())
				if (err == nil) != (name == "cut later") {
					t.Fatalf("got %v", err)
				}
				time.Sleep(3 * time.Second)
				_, err = n.Credential(t.Context())
				if !isAuthorization(err, answer.want) {
					t.Errorf("%v, want %s", err, answer.want)
				}
			})
		})
	}
}

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
