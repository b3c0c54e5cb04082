// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// attempt has a source with a valid token make one renewal at the endpoint, and returns its error.
// Whatever the endpoint does: the old token stays in use, the renewal ends in time, and nobody
// gets to see secrets or what the endpoint has written.
func attempt(t *testing.T, url string) error {
	t.Helper()
	client := provider.New(nil, nil)
	defer client.CloseIdleConnections()
	st, _ := newStore(t, new(oauthtest.Memory))
	s, logs := sourceOf(st, nil)
	s.set.Fetch = func(ctx context.Context, known func() []string, before *record.Token) (*record.Token, error) {
		answer, err := client.Credentials(ctx, &provider.Config{
			TokenURL: url, ClientID: "i", ClientSecret: oauthtest.ClientSecret, Timeout: 500 * time.Millisecond, Tokens: known,
		})
		if err != nil {
			return nil, err
		}
		return record.New(IssuedBy(answer), record.Term{}, before), nil
	}
	old := issue(oauthtest.TokenText, time.Hour)
	old.Soft = time.Now().Add(-time.Minute)
	s.conn.token.Store(old)

	start := time.Now()
	op, err := s.renew(t.Context(), start, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-op.done
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if err = s.conn.trouble().lastErr; err != nil {
		if got := s.conn.token.Load(); got != old {
			t.Errorf("after %v the old token is not in use", err)
		}
		if found := oauthtest.Leaks(oauthtest.AnyText(err)); found != nil {
			t.Errorf("the error shows %q: %v", found, err)
		}
	}
	if found := oauthtest.Leaks(logs.String()); found != nil {
		t.Errorf("the log shows %q: %s", found, logs)
	}
	return err
}

// TestRetryAfterOnTheWire: it counts with each status, and is cut to an hour.
func TestRetryAfterOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		status   int
		header   string
		min, max time.Duration
	}{
		{503, "120", 119 * time.Second, 121 * time.Second},
		{429, "30", 29 * time.Second, 31 * time.Second},
		{400, "30", 29 * time.Second, 31 * time.Second},
		{503, time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat), 590 * time.Second, 601 * time.Second},
		{503, time.Now().Add(-10 * time.Minute).UTC().Format(http.TimeFormat), 0, 1201 * time.Millisecond},
		{503, "2147483647", 3599 * time.Second, 3601 * time.Second},
		{503, "Fri, 31 Dec 9999 23:59:59 GMT", 3599 * time.Second, 3601 * time.Second},
		{503, "999999999999999999999999", 0, 1201 * time.Millisecond},
		{503, "-1", 0, 1201 * time.Millisecond},
		{503, "0", 0, 1201 * time.Millisecond},
	} {
		err, ok := attempt(t, oauthtest.Serve(t, oauthtest.Respond(tt.status, oauthtest.BodyText, "Retry-After", tt.header))).(*provider.Error) //nolint:errorlint // it is what renewals return
		if !ok {
			t.Errorf("%d %q: no *provider.Error", tt.status, tt.header)
			continue
		}
		if wait := time.Until(err.Retry); wait < tt.min || wait > tt.max {
			t.Errorf("%d %q: next attempt in %v", tt.status, tt.header, wait)
		}
	}
}
