// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

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
		err, ok := attempt(t, serve(t, respond(tt.status, bodyText, "Retry-After", tt.header))).(*provider.Error) //nolint:errorlint // it is what renewals return
		if !ok {
			t.Errorf("%d %q: no *provider.Error", tt.status, tt.header)
			continue
		}
		if wait := time.Until(err.Retry); wait < tt.min || wait > tt.max {
			t.Errorf("%d %q: next attempt in %v", tt.status, tt.header, wait)
		}
	}
}
