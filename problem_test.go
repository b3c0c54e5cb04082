// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// TestProblemOf: what a caller is told of each reason for which there is no credential.
func TestProblemOf(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		err     error
		perUser bool
		code    string
		status  int
		retry   string
	}{
		"key missing":      {fmt.Errorf("opening: %w", oauth.ErrKeyMissing), false, "key-missing", 503, ""},
		"not connected":    {&oauth.AuthorizationError{}, false, "authorization-required", 503, ""},
		"user's own":       {&oauth.AuthorizationError{}, true, "authorization-required", 401, ""},
		"refused for good": {&oauth.Error{Status: 401, Code: "invalid_client"}, false, "token-rejected", 502, ""},
		"down":             {&oauth.Error{Status: 500}, false, "token-unavailable", 503, "1"},
		"down for a while": {&oauth.Error{Status: 503, Retry: now.Add(1100 * time.Millisecond)}, false, "token-unavailable", 503, "2"},
		"may be asked":     {&oauth.Error{Status: 503, Retry: now.Add(-time.Minute)}, false, "token-unavailable", 503, "1"},
		"another error":    {errors.New("the storage"), true, "token-unavailable", 503, "1"},
	} {
		p := (&account{perUser: test.perUser, connectURL: "https://gateway.example/connect/"}).problemOf(test.err, now)
		h := make(http.Header)
		p.Hints(h, "crm")
		if p.Code() != test.code || p.Status() != test.status || h.Get("Retry-After") != test.retry {
			t.Errorf("%s: %s with %d, Retry-After %q", name, p.Code(), p.Status(), h.Get("Retry-After"))
		}
	}
}
